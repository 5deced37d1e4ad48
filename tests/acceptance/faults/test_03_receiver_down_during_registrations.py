"""Fault 3: the receiver is down while 200 versions are registered: the poller finds each of them,
and how many were missed is counted exactly. Scaled: MLflow tries once and not for 7 s, instead of a
receiver that is down for 60 s."""

from pathlib import Path

from steward.events import EventType
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.senders import deliveries_of, events_of, register_many
from tests.acceptance.faults.site import Site
from tests.servers import MlflowServer, eventually

MISSED = 200


def test_03_receiver_down_during_registrations(tmp_path: Path, name: str) -> None:
    mlflow = MlflowServer(
        tmp_path, MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES="0", MLFLOW_WEBHOOK_CACHE_TTL="0"
    )
    quiet = {"STEWARD_SLACK_WEBHOOK_URL": ""}  # 200 messages would tell nothing more
    try:
        with Site(tmp_path / "site", mlflow.start(), settings=quiet).running() as site:
            _miss_and_recover(site, name)
    finally:
        mlflow.stop()


def _miss_and_recover(site: Site, name: str) -> None:
    heard = [site.register(name, auc=0.9)]
    site.await_verdict(name, heard[0], "promoted")
    eventually(lambda: _versions_delivered(site, name) == set(heard))
    counted = _counted(site)

    site.stop("receiver")
    missed = register_many(site, name, MISSED)
    site.start("receiver")
    eventually(lambda: len(events_of(site, name)) == 1 + MISSED, 60, every_seconds=0.25)
    heard.append(site.register(name, auc=0.95))
    site.await_verdict(name, heard[1], "promoted", within=120)

    assert_sound(site, name, within=120)
    assert {event.version for event in events_of(site, name)} == {*heard, *missed}
    assert _versions_delivered(site, name) == set(heard)
    assert _counted(site) - counted == MISSED
    polled = site.events(model=name, type=EventType.VERSION_CREATED, seen_by="poll")
    assert {event["version"] for event in polled} == set(missed)
    rejected = site.events(model=name, type=EventType.REJECTED)
    assert {event["version"] for event in rejected} == set(missed)


def _counted(site: Site) -> float:
    name = "steward_events_seen_by_poll_alone"
    return site.metric("receiver", name, type="model_version.created")


def _versions_delivered(site: Site, model: str) -> set[str]:
    return {row.version for row in deliveries_of(site, model)}
