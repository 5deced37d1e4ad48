"""Fault 27: one of three replicas is down, slow, serves the old version though it says yes, or
restarts with nothing: only the straggler is told again, and what each serves is checked.

Scaled: a slow answer takes 2 s. A replica is gone 15 s after its last heartbeat.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.oracle import FakeReplica
from tests.acceptance.faults.site import Site
from tests.servers import Answer, eventually

TIMES = 3


class Straggler:
    """Does as it should only after some reloads, and when the test has seen what it serves."""

    def __init__(self, replica: FakeReplica, kind: str) -> None:
        self.replica, self.kind, self.reloads = replica, kind, 0
        self.is_seen = threading.Event()
        # Its heartbeats would tell it the version as well; they only say what it serves.
        replica.is_told_by_beats = False
        eventually(replica.beat)
        replica.answers = self

    def __call__(self, call: str, order: Mapping[str, Any]) -> Answer | None:
        if call == "prepare":
            return None
        self.reloads += 1
        if self.kind == "slow" and self.reloads > 1:
            return None
        if self.reloads > TIMES and self.is_seen.is_set():
            return None
        if self.kind == "fails":
            return Answer(503, b"not now")
        if self.kind == "slow":
            self.replica.answers = lambda _call, _order: None
            return Answer(504, b"too slow", after_seconds=2)
        serves = {"model": self.replica.model, "version": self.replica.version}
        return Answer(200, json.dumps(serves | {"generation": order["generation"]}).encode())


@pytest.mark.parametrize("kind", ["fails", "slow", "old version"])
def test_27_only_the_straggler_is_told_again(site: Site, name: str, kind: str) -> None:
    with site.replicas(name) as fleet:
        first = site.register(name, auc=0.9)
        site.await_verdict(name, first, "promoted")
        eventually(lambda: [replica.version for replica in fleet] == [first] * 3)
        for replica in fleet:
            replica.orders.clear()
        straggler = Straggler(fleet[1], kind)

        second = site.register(name, auc=0.95)
        eventually(lambda: straggler.reloads >= 1, 20)
        if kind != "slow":
            eventually(lambda: states(site, name)[fleet[0].id] == (second, True), 5)
            assert states(site, name)[fleet[1].id] == (first, False)
        straggler.is_seen.set()
        rollout = eventually(lambda: rollouts(site, name, second), 30)[0]

        assert_sound(site, name, fleet=fleet)
        assert [replica.version for replica in fleet] == [second] * 3
    assert [reloads(replica, second) for replica in (fleet[0], fleet[2])] == [1, 1]
    if kind == "slow":
        assert reloads(fleet[1], second) == 2
    else:
        assert reloads(fleet[1], second) == straggler.reloads > TIMES
    told = rollout["data"]["replicas"]
    assert {(each["ok"], each["version"]) for each in told} == {(True, second)}
    assert len(told) == 3


def test_27_replica_down_is_gone_and_comes_back_with_nothing(site: Site, name: str) -> None:
    with site.replicas(name, 2) as fleet, one_more(site, name) as third:
        first = site.register(name, auc=0.9)
        site.await_verdict(name, first, "promoted")
        eventually(lambda: third.version == first)
        third.is_beating = False  # killed: it says no goodbye
        third.answers = lambda _call, _order: Answer(502, b"nobody is there")

        second = site.register(name, auc=0.95)
        site.await_verdict(name, second, "promoted", within=40)
        rollout = eventually(lambda: rollouts(site, name, second), 30)[0]
        assert {each["id"] for each in rollout["data"]["replicas"]} == {r.id for r in fleet}

        third.answers = lambda _call, _order: None
        third.version, third.generation, third.served = None, 0, []
        third.is_beating = True
        eventually(lambda: third.version == second)
        eventually(lambda: set(states(site, name).values()) == {(second, True)})

        assert_sound(site, name, fleet=[*fleet, third])


@contextmanager
def one_more(site: Site, model: str) -> Iterator[FakeReplica]:
    """A third replica, known to Steward."""
    secret = site.environment()["STEWARD_REPLICA_SECRETS"].encode()
    with FakeReplica(f"{model}-one-more", model, site.url, secret).running() as replica:
        eventually(replica.beat)
        eventually(lambda: replica.id in states(site, model))
        yield replica


def states(site: Site, model: str) -> dict[str, tuple[str | None, bool]]:
    """What operators see: the version that each replica serves, and whether that is current."""
    items = site.get("/replicas", model=model)["items"]
    return {item["id"]: (item["version"], item["is_current"]) for item in items}


def rollouts(site: Site, model: str, version: str) -> list[dict[str, Any]]:
    return site.events(model=model, type="rollout.finished", version=version)


def reloads(replica: FakeReplica, version: str) -> int:
    return sum(call == "reload" and what == version for call, what, _ in replica.orders)
