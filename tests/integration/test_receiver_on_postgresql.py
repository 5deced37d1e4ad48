"""The receiver's deliveries and its whole API again, on a journal in a real PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deliveries import created
from tests.integration import test_receiver_api, test_receiver_intake
from tests.integration.postgresql_support import on_postgresql
from tests.integration.receiver_support import Receiver, receiver
from tests.integration.test_two_in_production import put

globals().update(on_postgresql(test_receiver_intake))
globals().update(on_postgresql(test_receiver_api))
for _name in (  # these two harm the SQLite file; a PostgreSQL is harmed in test_postgres_outages
    "test_one_poisonous_delivery_spoils_no_batch",
    "test_a_journal_that_takes_no_write_is_503_and_the_next_try_succeeds",
):
    del globals()[_name]


@pytest.fixture(autouse=True)
def _on_postgresql(journal_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEWARD_DATABASE_URL", journal_url)


@pytest.fixture
def on_postgres(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path) as running:
        assert running.journal.is_postgresql
        yield running


def test_text_that_the_database_cannot_hold_is_a_wrong_request_and_no_failure(
    on_postgres: Receiver,
) -> None:
    on_postgres.deliver(created())

    for path in ("/api/v1/events?model=%00", "/api/v1/models/fr%00d", "/api/v1/events?q=a%00b"):
        answer = on_postgres.client.get(path)
        assert answer.status_code == 422, (path, answer.text)
        assert answer.json()["code"] == "invalid"


def test_two_in_production_are_found_there_too(on_postgres: Receiver) -> None:
    for version, stage in (("3", "Production"), ("4", "Archived"), ("12", "Production")):
        put(on_postgres, version, stage)

    found = on_postgres.client.get("/api/v1/models/fraud").json()

    assert found["several_in_production"] == ["3", "12"]
