"""A replay of many events, by the CLI and the API: paced, named, and stopped."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steward.journal import dispatches
from tests.cli_support import run
from tests.deliveries import created
from tests.integration.receiver_support import Receiver, at_a_shell, receiver
from tests.integration.test_receiver_api import claim

DEAD = ("events", "replay", "--status", "dead")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver with three events whose validation died, and the operator Ada at her shell."""
    monkeypatch.chdir(tmp_path)
    with receiver(tmp_path) as running:
        running.client.headers.update(at_a_shell(running, monkeypatch))
        for version in ("1", "2", "3"):
            running.deliver(created(version))
            work = claim(running, "validate")
            dispatches.fail(running.journal, work, "MLflow is away", retry_in_seconds=None)
        running.hints.clear()
        yield running


def count(here: Receiver, status: str) -> int:
    found = here.client.get("/api/v1/events", params={"status": status, "version": "*"}).json()
    return sum(item["type"] == "model_version.created" for item in found["items"])


def test_a_replay_by_filter_is_paced_and_can_be_cancelled(here: Receiver):
    chosen = ("--type", "model_version.created", "--rate", "1", "--yes", "--reason", "it is back")
    replayed = run(*DEAD, *chosen)

    assert replayed.code == 0, replayed.err
    assert len(here.hints) == 1
    assert count(here, "dead") == 0
    batch = replayed.out.split("--cancel ")[1].split()[0]

    cancelled = run("events", "replay", "--cancel", batch)

    assert cancelled.out == "3 had not begun and stay as they were; 0 had begun.\n"
    assert count(here, "dead") == 3


def test_the_api_names_the_batch_and_cancels_it(here: Receiver):
    body = {"filter": {"type": "model_version.created"}, "rate": 1}
    batch = here.client.post("/api/v1/replay", json=body).json()["batch"]

    answer = here.client.delete(f"/api/v1/replay/{batch}")

    assert answer.status_code == 200
    assert answer.json() == {"batch": batch, "cancelled": 3, "left": 0}
    assert here.client.delete("/api/v1/replay/nonsense").json()["code"] == "no_such_batch"


def test_a_replay_is_cancelled_only_by_who_may_replay(here: Receiver):
    body = {"filter": {"type": "model_version.created"}, "rate": 1}
    batch = here.client.post("/api/v1/replay", json=body).json()["batch"]
    del here.client.headers["authorization"]

    answer = here.client.delete(f"/api/v1/replay/{batch}")

    assert answer.status_code == 401
    assert count(here, "dead") == 0


def test_what_goes_with_neither_ids_nor_a_batch_is_refused(here: Receiver):
    paced = run("events", "replay", "some-id", "--rate", "5")
    mixed = run(*DEAD, "--cancel", "some-batch")
    unknown = run("events", "replay", "--cancel", "nonsense")

    assert (paced.code, mixed.code) == (2, 2)
    assert "--rate is for events that are chosen by options" in paced.err
    assert "--cancel takes a batch alone" in mixed.err
    assert (unknown.code, "There is no batch nonsense" in unknown.err) == (1, True)
