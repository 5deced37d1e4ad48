"""Receipts as operators meet them: over HTTP, at the shell, and in a file taken elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steward.events import EventType, NewEvent
from steward.journal import audit
from steward.receipts import hash_of
from tests.cli_support import run
from tests.deliveries import created
from tests.integration.receiver_support import Receiver, at_a_shell, receiver
from tests.integration.test_receiver_api import finish, get, promote


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver that knows two promotions, and Ada at her shell and over HTTP."""
    monkeypatch.chdir(tmp_path)
    with receiver(tmp_path) as running:
        running.client.headers.update(at_a_shell(running, monkeypatch))
        promote(running, "1")
        promote(running, "2")
        yield running


def test_a_models_receipts_are_paged_oldest_first(here: Receiver):
    first = get(here, "/api/v1/models/fraud/receipts", limit=1)
    second = get(here, "/api/v1/models/fraud/receipts", limit=1, cursor=first["next_cursor"])

    [one], [two] = first["items"], second["items"]
    assert (one["receipt"]["version"], two["receipt"]["version"]) == ("1", "2")
    assert two["receipt"]["previous"] == one["hash"] == hash_of(one["receipt"])
    assert first["head"] == second["head"] == {"hash": two["hash"], "sequence": 2}


def test_a_version_has_its_own(here: Receiver):
    here.deliver(created("3"))
    finish(here, "validate", NewEvent(EventType.HELD, data={"reasons": ["no test_auc"]}))

    found = get(here, "/api/v1/models/fraud/receipts", version="3")

    [held] = found["items"]
    assert held["receipt"]["sequence"] == 3
    assert get(here, "/api/v1/models/fraud/versions/3")["verdict"]["receipt"] == held["hash"]


def test_one_receipt_is_found_by_its_first_digits(here: Receiver):
    head = get(here, "/api/v1/models/fraud/receipts")["head"]["hash"]

    assert get(here, f"/api/v1/receipts/{head[:8]}")["hash"] == head


@pytest.mark.parametrize("digest", ["0" * 64, "00000000"])
def test_an_unknown_receipt_is_404(here: Receiver, digest: str):
    answer = here.client.get(f"/api/v1/receipts/{digest}")

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_receipt")


def test_a_receipt_of_a_model_that_the_token_does_not_cover_is_not_shown(here: Receiver):
    head = get(here, "/api/v1/models/fraud/receipts")["head"]["hash"]
    secret, _ = audit.create_token(here.journal, owner="eve", role="viewer", models=["churn-*"])
    here.client.headers["authorization"] = f"Bearer {secret}"

    assert here.client.get(f"/api/v1/receipts/{head}").status_code == 404
    assert here.client.get("/api/v1/models/fraud/receipts").status_code == 403


def test_the_list_and_one_of_it(here: Receiver):
    listed = run("receipts", "list", "fraud")
    [first, second] = run("receipts", "list", "fraud", "--json").json["items"]
    shown = run("receipts", "show", second["hash"])

    assert [line.split()[2] for line in listed.out.splitlines()[1:]] == ["1", "2"]
    assert second["hash"] in listed.out
    assert first["hash"] in shown.out
    assert "it is better" in shown.out
    assert run("receipts", "show", second["hash"], "--json").json["receipt"] == second["receipt"]


def test_an_exported_chain_is_sound_until_it_is_touched(here: Receiver, tmp_path: Path):
    file = tmp_path / "fraud.jsonl"

    exported = run("receipts", "export", "fraud", "--output", str(file), "--json").json

    assert exported["receipts"] == 2
    assert run("receipts", "verify", str(file), "--head", exported["head"]).code == 0
    file.write_bytes(file.read_bytes().replace(b"it is better", b"it is wetter", 1))
    broken = run("receipts", "verify", str(file), "--json")
    assert broken.code == 1
    assert [fault["line"] for fault in broken.json["faults"]] == [1]


def test_a_model_that_nobody_knows_is_told(here: Receiver):
    assert "Steward knows no model frode" in run("receipts", "list", "frode").err
