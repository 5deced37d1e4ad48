"""Fault 34: a replica is scaled down while a rollout waits for it."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.oracle import FakeReplica
from tests.acceptance.faults.site import SECRET, Site
from tests.servers import Answer, eventually


def test_34_replica_scaled_down_mid_rollout(site: Site, name: str) -> None:
    asked: list[str] = []

    def answers(call: str, order: Mapping[str, Any]) -> Answer | None:
        asked.append(call)
        return Answer(503, b"shutting down") if call == "reload" else None

    with site.replicas(name, 2) as fleet, ExitStack() as third_runs:
        third = FakeReplica(f"{name}-3", name, site.url, SECRET.encode(), answers)
        third_runs.enter_context(third.running())
        eventually(third.beat)
        eventually(lambda: len(site.get("/replicas", model=name)["items"]) == 3)
        version = site.register(name, auc=0.9)
        eventually(lambda: asked.count("reload") >= 2, 30)
        third.is_beating = False
        assert site.events(model=name, type="rollout.finished") == []

        third_runs.close()  # SIGTERM: it says that it stops, and listens no more

        rollout = eventually(lambda: site.events(model=name, type="rollout.finished"), 20)[0]
        told = {each["id"]: each["ok"] for each in rollout["data"]["replicas"]}
        assert told == {replica.id: True for replica in fleet}
        assert [replica.version for replica in fleet] == [version] * 2
        orders = [[call for call, _, _ in replica.orders] for replica in fleet]
        assert orders == [["prepare", "reload"]] * 2
        assert_sound(site, name, fleet=fleet)
    assert site.verdict(name, version) == "promoted"
    assert site.events(model=name, type="rollout.failed") == []
