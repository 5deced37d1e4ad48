"""Deliveries over real HTTP: what is durable before its answer, and what is refused how."""

import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text

from steward.journal.schema import deliveries, events
from tests.deliveries import created, payload, signed
from tests.integration.receiver_support import Receiver, receiver
from webhook_receiver.intake import BATCH_SIZE


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path) as running:
        yield running


def count(here: Receiver, table: Any) -> int:
    with here.journal.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def kept(here: Receiver) -> list[tuple[str, str | None]]:
    query = select(deliveries.c.outcome, deliveries.c.reason).order_by(deliveries.c.seq)
    with here.journal.read() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_a_delivery_is_journalled_and_hinted(here: Receiver):
    answer = here.deliver(created())

    assert answer.status_code == 202
    assert answer.json()["duplicate"] is False
    assert [(hint.handler, hint.queue) for hint in here.hints] == [("validate", "validation")]
    found = here.client.get(f"/api/v1/events/{answer.json()['event_id']}").json()
    assert found["event"]["subject"] == "fraud/1"
    assert found["deliveries"][0]["outcome"] == "event"


def test_the_same_delivery_again_and_the_same_news_again_are_duplicates(here: Receiver):
    first = here.deliver(created(), delivery_id="d-1").json()

    again = here.deliver(created(), delivery_id="d-1").json()
    other = here.deliver(created(), delivery_id="d-2").json()

    assert again == other == {"event_id": first["event_id"], "duplicate": True}
    assert len(here.hints) == 1


def test_a_test_delivery_has_no_event(here: Receiver):
    example = {"name": "example_model", "alias": "example_alias"}

    answer = here.deliver({"entity": "model_version_alias", "action": "deleted", "data": example})

    assert (answer.status_code, answer.json()["event_id"]) == (202, None)
    assert count(here, events) == 0


def test_an_unknown_event_is_journalled_each_time(here: Receiver):
    first, second = (here.deliver(payload("prompt.created")).json() for _ in range(2))

    assert first["event_id"] != second["event_id"]
    assert here.hints == []


def test_the_registry_of_the_path_is_the_registry_of_the_event(here: Receiver):
    body = json.dumps(created()).encode()

    answer = here.client.post("/webhooks/mlflow/eu", content=body, headers=signed(body))

    event = here.client.get(f"/api/v1/events/{answer.json()['event_id']}").json()["event"]
    assert (event["registry"], event["source"]) == ("eu", "mlflow/eu")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"not json", 400, "not_json"),
        (b'{"entity": "x"}', 422, "wrong_form"),
        (payload("model_version.created"), 422, "wrong_form"),
        (payload("rollback.requested"), 422, "not_a_registry_fact"),
    ],
)
def test_an_authentic_body_that_is_refused_is_kept(
    here: Receiver, body: Any, status: int, code: str
):
    answer = here.deliver(body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert kept(here) == [("refused", f"{code}: {answer.json()['detail']}")]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(b"another body"),
        signed(b"{}", secret="another secret"),
        signed(b"{}", timestamp=1_700_000_000),
        {**signed(b"{}"), "x-mlflow-signature": "v1"},
        {**signed(b"{}"), "x-mlflow-timestamp": "nan"},
        {**signed(b"{}"), "x-mlflow-signature": "sha256=00"},
    ],
)
def test_a_body_that_is_not_authentic_is_refused_and_not_kept(
    here: Receiver, headers: dict[str, str]
):
    answer = here.client.post("/webhooks/mlflow", content=b"{}", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
    assert kept(here) == []


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_body_above_256_kib_is_refused(here: Receiver, is_streamed: bool):
    body = b" " * (256 * 1024 + 1)

    answer = here.client.post(
        "/webhooks/mlflow",
        content=(body[start : start + 9999] for start in range(0, len(body), 9999))
        if is_streamed
        else body,
        headers=signed(body),
    )

    assert answer.status_code == 413


def test_a_body_of_256_kib_in_many_pieces_is_taken(here: Receiver):
    body = json.dumps(created()).encode().ljust(256 * 1024)

    answer = here.client.post(
        "/webhooks/mlflow", content=iter([body[:7], body[7:]]), headers=signed(body)
    )

    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/webhooks/mlflow", 405),
        ("POST", "/webhooks/mlflow/", 404),
        ("POST", "/webhooks/databricks", 404),
        ("POST", "/webhooks/standard", 404),
    ],
)
def test_other_routes_are_problems_and_never_redirects(
    here: Receiver, method: str, path: str, status: int
):
    answer = here.client.request(method, path)

    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"


def test_many_deliveries_at_once_share_transactions(here: Receiver):
    before = _sum_of_batches()
    limits = httpx.Limits(max_connections=32, keepalive_expiry=1)
    with httpx.Client(base_url=here.url, limits=limits, timeout=60) as client:

        def deliver(number: int) -> httpx.Response:
            body = json.dumps(created(str(number))).encode()
            return client.post("/webhooks/mlflow", content=body, headers=signed(body))

        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(deliver, range(1, 201)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["event_id"] for answer in answers}) == 200
    assert count(here, events) == count(here, deliveries) == len(here.hints) == 200
    batches, delivered = (now - then for now, then in zip(_sum_of_batches(), before, strict=True))
    assert delivered == 200
    assert batches < 200


def _sum_of_batches() -> tuple[float, float]:
    samples = {sample.name: sample.value for sample in next(iter(BATCH_SIZE.collect())).samples}
    return samples["steward_intake_batch_size_count"], samples["steward_intake_batch_size_sum"]


def test_one_poisonous_delivery_spoils_no_batch(here: Receiver):
    with here.journal.write() as transaction:
        transaction.connection.execute(
            text(
                "CREATE TRIGGER poison BEFORE INSERT ON events WHEN new.version = '13' "
                "BEGIN SELECT RAISE(ABORT, 'poison'); END"
            )
        )

    def deliver(number: int) -> httpx.Response:
        while True:  # a slow disk may take longer for the single ones than a sender waits
            answer = here.deliver(created(str(number)))
            if answer.status_code != 503:
                return answer

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(deliver, range(1, 33)))

    statuses = [answer.status_code for answer in answers]
    assert statuses[12] == 500
    assert answers[12].headers["content-type"] == "application/problem+json"
    assert statuses.count(202) == 31
    assert count(here, events) == 31


def test_a_journal_that_takes_no_write_is_503_and_the_next_try_succeeds(
    here: Receiver, tmp_path: Path
):
    lock = sqlite3.connect(tmp_path / "steward.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")

    refused = here.deliver(created(), delivery_id="d-1")
    is_ready = here.client.get("/readyz").status_code
    lock.execute("ROLLBACK")
    lock.close()

    assert (refused.status_code, refused.json()["code"]) == (503, "journal_unavailable")
    assert float(refused.headers["retry-after"]) <= 2
    assert is_ready == 503
    assert here.deliver(created(), delivery_id="d-1").status_code == 202


def test_what_was_answered_is_there_after_the_receiver_is_gone(tmp_path: Path):
    with receiver(tmp_path) as first:
        event_id = first.deliver(created()).json()["event_id"]

    with receiver(tmp_path) as second:
        assert second.client.get(f"/api/v1/events/{event_id}").status_code == 200


def test_a_sender_that_hangs_up_early_disturbs_nobody(here: Receiver):
    host, port = here.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /webhooks/mlflow HTTP/1.1\r\ncontent-length: 100\r\n\r\nhalf")

    assert here.deliver(created()).status_code == 202


def test_the_front_door_does_not_import_what_is_slow():
    program = (
        "import sys, webhook_receiver.app; "
        "print([name for name in ('mlflow', 'numpy', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_a_refusal_of_a_delivery_that_was_refused_before_is_kept_once(here: Receiver):
    here.deliver(b"not json", delivery_id="d-1")
    here.deliver(b"not json", delivery_id="d-1")

    assert len(kept(here)) == 1


def test_metrics_count_deliveries_by_outcome(here: Receiver):
    here.deliver(created())

    told = here.client.get("/metrics").text

    assert 'steward_deliveries_total{outcome="event",sender="mlflow"}' in told
    assert 'steward_dispatches{handler="validate",state="pending"} 1.0' in told
    assert "steward_intake_commit_seconds_bucket" in told
