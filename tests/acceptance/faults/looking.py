"""Looks that the faults of broker and workers need: into Valkey's queues and at who holds what."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis
from sqlalchemy import Engine, select

from steward.broker_options import REDIS_OPTIONS
from steward.journal.schema import attempts, dispatches, events
from steward.journal.store import open_engine
from tests.acceptance.faults.invariants import rows
from tests.acceptance.faults.site import Site
from tests.servers import eventually

PREFIX = REDIS_OPTIONS["global_keyprefix"]


@contextmanager
def valkey_of(site: Site) -> Iterator["Redis[bytes]"]:
    """A connection to the site's broker, for looking and for harm."""
    with Redis.from_url(site.broker_url, socket_timeout=5) as client:
        yield client


def queued(site: Site, queue: str) -> int:
    """How many hints lie in a queue."""
    with valkey_of(site) as client:
        return int(client.llen(f"{PREFIX}{queue}"))


def lose_hints(site: Site, queue: str) -> None:
    """Take every hint out of a queue, as Redis does for a worker that waits for one."""
    with valkey_of(site) as client:
        client.delete(f"{PREFIX}{queue}")


@contextmanager
def journal_of(site: Site) -> Iterator[Engine]:
    """The site's journal, for reading."""
    engine = open_engine(site.database_url or f"sqlite:///{site.directory / 'data' / 'steward.db'}")
    try:
        yield engine
    finally:
        engine.dispose()


def holder_of(site: Site, model: str, handler: str, within: float = 30) -> int:
    """The process id of the worker that runs this handler for a model; waits until one does."""
    with journal_of(site) as engine:
        query = _dispatches(model, handler).where(dispatches.c.state == "running")
        owner = eventually(lambda: [row.owner for row in rows(engine, query)], within)[0]
    return int(owner.rpartition(":")[2])


def outcomes_of(site: Site, model: str, handler: str, version: str) -> list[str]:
    """How each attempt of a handler for a version ended, oldest first."""
    query = (
        select(attempts.c.outcome)
        .join(dispatches, dispatches.c.id == attempts.c.dispatch_id)
        .join(events, events.c.id == dispatches.c.event_id)
        .where(events.c.model == model, events.c.version == version)
        .where(dispatches.c.handler == handler)
        .order_by(attempts.c.id)
    )
    with journal_of(site) as engine:
        return [row.outcome for row in rows(engine, query)]


def taken_from(site: Site, role: str) -> int:
    """How many leases ended in the hands of this process."""
    query = select(attempts.c.id).where(
        attempts.c.owner.endswith(f":{site.children[role].pid}"), attempts.c.outcome == "expired"
    )
    with journal_of(site) as engine:
        return len(rows(engine, query))


def _dispatches(model: str, handler: str) -> Any:
    joined = select(dispatches).join(events, events.c.id == dispatches.c.event_id)
    return joined.where(events.c.model == model, dispatches.c.handler == handler)
