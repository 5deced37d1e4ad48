"""Fault 11: the broker is killed with hints in its queues and workers at work, and keeps nothing.

It is killed twice: while nobody consumes, so that every hint in it is lost, and in mid-work.
"""

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.looking import queued
from tests.acceptance.faults.site import Site
from tests.servers import eventually

MODELS = 8


def test_11_broker_killed_with_its_queues_full(site: Site, name: str) -> None:
    assert site.broker is not None
    models = [f"{name}-{n}" for n in range(MODELS)]
    repeated = site.metric("poller", "steward_sweep_hints_total")
    site.stop("worker-default")
    site.stop("worker-validation")
    for model in models:
        site.register(model, auc=0.9)
    eventually(lambda: queued(site, "validation") >= MODELS, 20)

    site.broker.kill()
    site.broker.start()
    assert queued(site, "validation") < MODELS, "the broker kept its queues"
    site.start("worker-default")
    site.start("worker-validation")
    with site.supervised():
        eventually(lambda: any(site.verdict(model, "1") == "promoted" for model in models), 60)
        for model in models:
            site.register(model, auc=0.95)
        site.broker.kill()
        site.broker.start()

        assert_sound(site, *models, within=90)
    assert [site.verdict(model, "2") for model in models] == ["promoted"] * MODELS
    assert site.metric("poller", "steward_sweep_hints_total") >= repeated + MODELS
