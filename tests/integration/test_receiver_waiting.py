"""Long polls for verdicts, and the heartbeats of replicas, over real HTTP."""

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from steward.events import EventType, ModelRef, NewEvent
from steward.journal import claims, dispatches, fleet
from steward.journal.looking import look
from steward.journal.schema import desired
from steward.ports import Done, Skipped
from steward.signing import sign
from tests.deliveries import created
from tests.integration.receiver_support import Receiver, receiver
from tests.servers import eventually

VERDICT = "/api/v1/models/fraud/versions/1/verdict"
FRAUD = ModelRef("fraud")
BEAT = {
    "model": "fraud",
    "url": "http://here:1",
    "version": "1",
    "generation": 3,
    "state": "ready",
    "boot_id": "b",
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path) as running:
        yield running


def finish(here: Receiver, outcome: Done | Skipped) -> None:
    """Do as a worker would with the newest dispatch."""
    claimed = claims.claim(here.journal, here.hints[-1].dispatch_id, "worker", lease_seconds=60)
    assert claimed is not None
    here.hints.extend(dispatches.record(here.journal, claimed, outcome))


def desire(here: Receiver, version: str, generation: int) -> None:
    with here.journal.write() as transaction:
        transaction.connection.execute(
            insert(desired).values(
                registry="default",
                workspace="",
                model="fraud",
                version=version,
                generation=generation,
                changed_at=transaction.now,
            )
        )


def beat(here: Receiver, replica: str = "r-1", **changes: Any) -> httpx.Response:
    return here.client.put(f"/api/v1/replicas/{replica}", json={**BEAT, **changes})


def replicas(here: Receiver) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = here.client.get("/api/v1/replicas").json()["items"]
    return items


def test_a_judgement_that_died_is_answered_at_once_and_is_no_verdict(here: Receiver):
    here.deliver(created())
    claimed = claims.claim(here.journal, here.hints[-1].dispatch_id, "worker", lease_seconds=60)
    assert claimed is not None
    dispatches.fail(here.journal, claimed, "no such file", retry_in_seconds=None)

    began = time.monotonic()
    found = here.client.get(VERDICT, params={"wait": 60}).json()

    assert time.monotonic() - began < 30
    assert (found["verdict"], found["code"], found["is_reached"]) == ("waiting", "dead", False)
    assert "waits for an operator's replay: no such file" in found["reasons"][0]


def test_a_verdict_that_stands_is_answered_at_once(here: Receiver):
    here.deliver(created())
    held = NewEvent(EventType.HELD, data={"code": "incomplete", "reasons": ["no test_auc"]})
    finish(here, Done((held,)))

    found = here.client.get(VERDICT, params={"wait": 60}).json()

    assert (found["verdict"], found["code"]) == ("held", "incomplete")
    assert (found["reasons"], found["is_reached"]) == (["no test_auc"], True)


def test_a_long_poll_wakes_when_the_verdict_comes(here: Receiver):
    here.deliver(created())

    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(here.client.get, VERDICT, params={"wait": 15}) for _ in range(8)]
        eventually(lambda: here.app.state.room.watch.count == 8)
        finish(here, Done((NewEvent(EventType.REJECTED, data={"reasons": ["too low"]}),)))
        answers = [each.result().json() for each in waiting]

    assert {answer["verdict"] for answer in answers} == {"rejected"}


def test_a_long_poll_begins_before_the_version_is_known(here: Receiver):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(here.client.get, VERDICT, params={"wait": 15})
        eventually(lambda: here.app.state.room.watch.count == 1)
        here.deliver(created())
        finish(here, Skipped("observing"))

        assert waiting.result().json()["verdict"] is None


def test_a_long_poll_ends_in_time(here: Receiver):
    here.deliver(created())
    began = time.monotonic()

    found = here.client.get(VERDICT, params={"wait": 0.3}).json()

    assert (found["verdict"], found["is_reached"]) == ("waiting", False)
    assert time.monotonic() - began < 15


def test_a_version_that_nobody_knows_is_404_after_the_wait(here: Receiver):
    answer = here.client.get(VERDICT, params={"wait": 0.2})

    assert (answer.status_code, answer.json()["verdict"]) == (404, "unknown")


@pytest.mark.parametrize("query", [{"wait": 301}, {"wait": -1}, {"wait": "x"}, {"for": "ever"}])
def test_a_wrong_wait_is_told(here: Receiver, query: dict[str, str]):
    assert here.client.get(VERDICT, params=query).status_code == 422


def test_waiting_for_serving_ends_when_every_replica_serves(here: Receiver):
    here.deliver(created())
    readings = (look(here.journal, FRAUD).reading("", "champion", "1"),)
    finish(here, Done((NewEvent(EventType.PROMOTED, data={"reasons": ["better"]}),), readings))
    desire(here, "1", 3)
    beat(here, version=None, state="loading")
    early = here.client.get(VERDICT, params={"for": "serving", "wait": 0.2}).json()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(here.client.get, VERDICT, params={"for": "serving", "wait": 15})
        beat(here)
        found = waiting.result().json()

    assert (early["verdict"], early["is_reached"]) == ("promoted", False)
    assert (found["production"], found["is_reached"]) == ("1", True)
    assert found["serving"] == {
        "version": "1",
        "desired": "1",
        "generation": 3,
        "replicas": {"1": 1},
    }


def test_a_hundred_waiters_cost_one_look(here: Receiver):
    here.deliver(created())

    async def wait_together() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=here.url, limits=limits, timeout=60) as client:
            waiting = [client.get(VERDICT, params={"wait": 1}) for _ in range(100)]
            return await asyncio.gather(*waiting)

    answers = asyncio.run(wait_together())

    assert {answer.json()["verdict"] for answer in answers} == {"waiting"}
    assert here.client.get("/healthz").status_code == 200


def test_a_heartbeat_is_answered_with_the_desired_state_and_kept(here: Receiver):
    assert beat(here).json() == {"desired": None}

    desire(here, "1", 3)

    wanted = {"model": "fraud", "version": "1", "generation": 3}
    eventually(lambda: beat(here).json() == {"desired": wanted})
    (item,) = eventually(lambda: replicas(here))
    assert (item["id"], item["is_live"], item["is_current"]) == ("r-1", True, True)


def test_a_change_is_written_at_once_and_a_goodbye_ends_the_replica(here: Receiver):
    beat(here)
    eventually(lambda: replicas(here))

    beat(here, state="stopping")

    eventually(lambda: [each["is_live"] for each in replicas(here)] == [False], 3)


def test_a_higher_generation_raises_ours_above_it(here: Receiver):
    desire(here, "1", 3)

    beat(here, generation=9)

    eventually(lambda: fleet.all_desired(here.journal)[FRAUD].generation == 10)


def test_the_last_heartbeats_are_written_when_the_receiver_stops(tmp_path: Path):
    with receiver(tmp_path) as first:
        for number in range(50):
            assert beat(first, f"r-{number}").status_code == 200

    with receiver(tmp_path) as second:
        assert len(replicas(second)) == 50


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "asleep"},
        {"url": "ftp://x"},
        {"generation": -1},
        {"model": ""},
        {"version": 3},
        {"last_error": "no\0text"},
    ],
)
def test_a_heartbeat_of_the_wrong_form_is_refused(here: Receiver, changes: dict[str, Any]):
    answer = beat(here, **changes)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_with_a_secret_only_signed_heartbeats_are_taken(tmp_path: Path):
    body = json.dumps(BEAT).encode()
    with receiver(tmp_path, replica_secrets="one,two") as here:
        path = "/api/v1/replicas/r-1"
        good = sign(b"two", method="PUT", path=path, body=body)
        bad = sign(b"three", method="PUT", path=path, body=body)

        assert here.client.put(path, content=body, headers=good).status_code == 200
        assert here.client.put(path, content=body, headers=bad).status_code == 401
        assert here.client.put(f"{path}2", content=body, headers=good).status_code == 401
        assert beat(here).status_code == 401


def test_a_signed_replica_may_have_an_id_that_must_be_encoded(tmp_path: Path):
    body = json.dumps(BEAT).encode()
    path = "/api/v1/replicas/r%C3%A9plica%20%7C%20one%3A9001"
    with receiver(tmp_path, replica_secrets="one") as here:
        headers = sign(b"one", method="PUT", path=path, body=body)

        assert here.client.put(path, content=body, headers=headers).status_code == 200


def test_without_a_secret_only_this_machine_registers_replicas(here: Receiver):
    headers = {"host": "steward.example"}

    assert here.client.put("/api/v1/replicas/r", json=BEAT, headers=headers).status_code == 401
