"""Fault 33: DNS knows neither Slack nor a replica: what needs them is tried again and goes on when
the names resolve; everything else goes on meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select

from steward.journal.schema import attempts, dispatches, events
from tests.acceptance.faults.invariants import POSSIBLY_TWICE, assert_sound
from tests.acceptance.faults.oracle import FakeReplica
from tests.acceptance.faults.senders import journalled
from tests.acceptance.faults.site import SECRET, Site
from tests.servers import HttpCapture, eventually

NOWHERE = "nowhere.invalid"  # RFC 6761: never resolves
QUICK_RESOLVER = {"RES_OPTIONS": "timeout:1 attempts:1"}


class _Named(HttpCapture):
    """Tells an address under a name of its own."""

    host = NOWHERE

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


def test_33_names_that_do_not_resolve(site: Site, name: str) -> None:
    other = "33-another"
    site.stop("worker-default")
    site.start(
        "worker-default", STEWARD_SLACK_WEBHOOK_URL=f"http://{NOWHERE}/slack", **QUICK_RESOLVER
    )
    with _lost_replica(site, name) as replica, site.replicas(other, 1) as fleet:
        version, best = site.register(name, auc=0.9), site.register(other, auc=0.9)
        unresolved = eventually(lambda: _failures(site, name, "promote"), 30)
        assert replica.id in unresolved[0]
        site.await_verdict(other, best, "promoted", within=30)
        eventually(lambda: fleet[0].version == best, 30)
        assert replica.orders == []

        replica.http.host = "127.0.0.1"  # type: ignore[attr-defined]  # it is _Named
        site.await_verdict(name, version, "promoted")
        eventually(lambda: replica.version == version, 30)
        eventually(lambda: _failures(site, other, "notify"), 30)
        site.stop("worker-default")
        site.start("worker-default")
        assert_sound(site, name, other, fleet=[replica, *fleet])

    for model in (name, other):
        told = site.slack.bodies(model)
        assert len(told) == 1
        assert POSSIBLY_TWICE not in told[0]  # what was never sent is no doubt


@contextmanager
def _lost_replica(site: Site, model: str) -> Iterator[FakeReplica]:
    replica = FakeReplica(f"{model}-lost", model, site.url, SECRET.encode())
    replica.http = _Named()
    replica.http.answer_with = replica._obey
    with replica.running():
        eventually(replica.beat, 20, every_seconds=0.2)
        eventually(lambda: len(site.get("/replicas", model=model)["items"]) == 1, 20)
        yield replica


def _failures(site: Site, model: str, handler: str) -> list[str]:
    """Why attempts of a handler failed, where a name did not resolve."""
    query: Any = (
        select(attempts.c.detail)
        .join(dispatches, dispatches.c.id == attempts.c.dispatch_id)
        .join(events, events.c.id == dispatches.c.event_id)
        .where(events.c.model == model, dispatches.c.handler == handler)
        .where(attempts.c.outcome == "failed")
    )
    words = ("Name or service not known", "name resolution", "No address associated")
    return [row.detail for row in journalled(site, query) if any(w in row.detail for w in words)]
