"""What is killed, emptied or away while versions arrive costs time, and never a version.

Each kills something of the shared installation once, and leaves it as it was.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import redis

from steward.events import EventType
from tests.acceptance.installation import Installation
from tests.servers import beside, eventually

pytestmark = pytest.mark.timeout(1800)  # several waits of one test may each take minutes
AUCS = (0.9, 0.93, 0.8, 0.96, 0.99)
PATIENCE_SECONDS = 90


def test_an_emptied_broker_loses_nothing(house: Installation, name: str) -> None:
    models = [f"{name}-{number}" for number in range(3)]

    with _flushing(house.up["broker"]):
        for auc in AUCS:
            for model in models:
                house.register(model, auc=auc)
        for model in models:
            _await_all_decided(house, model)

    for model in models:
        _assert_done_once(house, model)


@pytest.mark.parametrize(
    "victim", ["worker-default", "worker-validation", "poller", "receiver", "broker"]
)
def test_a_process_that_is_killed_comes_back_and_nothing_is_lost_or_done_twice(
    house: Installation, name: str, victim: str
) -> None:
    model = f"{name[:30]}-{victim}"
    for auc in AUCS[:2]:
        house.register(model, auc=auc)

    pid = house.kill(victim)
    for auc in AUCS[2:]:
        house.register(model, auc=auc)

    eventually(lambda: house.has_restarted(victim, pid), PATIENCE_SECONDS)
    assert f"{victim} ended (signal 9)" in house.said
    _await_all_decided(house, model)
    _assert_done_once(house, model)
    assert house.events(model=model, status="dead") == []


def test_a_replica_that_is_killed_comes_back_with_what_production_is(house: Installation) -> None:
    version = house.promote("churn", auc=house.better_auc("churn"), real_model=True)
    number = 1 + [each["model"] for each in house.up["replicas"]].index("churn")
    pid = house.kill(f"replica-{number}")

    eventually(lambda: house.has_restarted(f"replica-{number}", pid), PATIENCE_SECONDS)

    eventually(lambda: house.serving("churn") == [version, version], PATIENCE_SECONDS)


def test_a_registry_that_is_down_while_work_is_pending_costs_time_and_nothing_else(
    house: Installation, name: str
) -> None:
    first = house.promote(name, auc=0.9)
    house.post("/pause", {"model": name, "reason": "until the registry is gone"})
    version = house.register(name, auc=0.95)
    (validated,) = eventually(
        lambda: house.events(model=name, version=version, type=EventType.VALIDATED), 30
    )

    def is_felt() -> bool:
        failed = "failed" in _outcomes(house, validated["id"], "promote")
        return failed and "registry" in " ".join(_health(house)["problems"])

    with _registry_away(house):
        house.post("/resume", {"model": name})
        eventually(is_felt, PATIENCE_SECONDS, every_seconds=0.2)

    assert house.verdict(name, version, wait=240)["verdict"] == "promoted"
    assert house.in_production(name) == [version]
    assert house.stages(name)[first] == "Archived"
    eventually(lambda: _health(house)["status"] == "ok", 60)
    house.settle(name)
    assert house.events(model=name, status="dead") == []
    assert house.event(validated["id"])["status"] == "done"


@contextmanager
def _registry_away(house: Installation) -> Iterator[None]:
    """Kill MLflow; the one that the supervisor starts at once stands still until the block ends.

    To kill that too, again and again, would lengthen the pauses between its starts, and so the
    outage, until the retries of what waits are minutes apart.
    """
    pid = house.kill("mlflow")
    eventually(lambda: house.has_restarted("mlflow", pid), PATIENCE_SECONDS)
    restarted = int(house.up["pids"]["mlflow"])
    os.killpg(restarted, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(restarted, signal.SIGCONT)


@contextmanager
def _flushing(broker: str) -> Iterator[None]:
    """Empty the broker ten times a second."""

    def flush(stop: threading.Event) -> None:
        with redis.Redis.from_url(broker) as client:
            while not stop.wait(0.1):
                client.flushall()

    with beside(flush):
        yield


def _await_all_decided(house: Installation, model: str) -> None:
    count = len(house.stages(model))

    def is_decided() -> bool:
        found = _ask(house, f"/models/{model}")
        verdicts = [each["verdict"] for each in found.get("versions", ())]
        words = [each["verdict"] for each in verdicts if each]
        return len(words) == count and "waiting" not in words and not _open(house, model)

    eventually(is_decided, PATIENCE_SECONDS, every_seconds=0.2)


def _open(house: Installation, model: str) -> list[Any]:
    items = _ask(house, f"/events?model={model}&status=open").get("items")
    return [None] if items is None else list(items)


def _ask(house: Installation, path: str) -> dict[str, Any]:
    """An answer of the API; empty while it is away, or knows nothing of it yet."""
    try:
        answer = house.api.get(path)
    except httpx.HTTPError:
        return {}
    document: dict[str, Any] = answer.json()
    return document if answer.is_success else {}


def _assert_done_once(house: Installation, model: str) -> None:
    """The best is Production; each promotion happened, was rolled out and was judged once."""
    newest = str(len(AUCS))
    assert house.in_production(model) == [newest]
    assert house.aliases(model)["champion"] == newest
    promoted = [each["version"] for each in house.events(model=model, type=EventType.PROMOTED)]
    assert len(promoted) == len(set(promoted))
    assert promoted[-1] == newest
    changes = house.events(model=model, type=EventType.CHAMPION_CHANGED)
    assert [each["version"] for each in changes] == promoted
    rolled_out = house.events(model=model, type=EventType.ROLLOUT_FINISHED)
    finished = [each["version"] for each in rolled_out]
    assert len(finished) == len(set(finished))  # one that was overtaken at once has none
    assert finished[-1] == newest
    for kind in (EventType.VERSION_CREATED, EventType.VALIDATED, EventType.REJECTED):
        found = [each["version"] for each in house.events(model=model, type=kind)]
        assert len(found) == len(set(found)), (kind, found)
    (rejected,) = house.events(model=model, type=EventType.REJECTED)
    assert rejected["version"] == "3"


def _outcomes(house: Installation, event_id: str, handler: str) -> list[str]:
    return [
        attempt["outcome"]
        for dispatch in house.event(event_id)["dispatches"]
        if dispatch["handler"] == handler
        for attempt in dispatch["attempts"]
    ]


def _health(house: Installation) -> dict[str, Any]:
    return house.get("/health")
