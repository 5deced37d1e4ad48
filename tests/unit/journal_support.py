"""A journal of one's own for a test, and the few words in which tests talk to it.

The same tests run on SQLite here and on PostgreSQL in ``tests/integration``: a module imports the
fixtures from here, and those of ``tests/integration/postgresql_support.py`` take the place of
``journal_url``, ``fresh_journal`` and ``empty_url`` there.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from steward.errors import JournalUnavailableError
from steward.events import Event, ModelRef, NewEvent
from steward.journal import claims, deliveries, dispatches, queries
from steward.journal.claims import Claimed
from steward.journal.deliveries import Delivery, News, Receipt
from steward.journal.migrate import upgrade
from steward.journal.observed import ObservedState
from steward.journal.routing import Routing
from steward.journal.schema import attempts, metadata
from steward.journal.schema import deliveries as deliveries_table
from steward.journal.schema import dispatches as dispatches_table
from steward.journal.schema import models as models_table
from steward.journal.store import Journal, Transaction, open_engine
from steward.journal.writing import EventWriter
from steward.ports import Clock, Done, Hint
from tests.fakes import FixedClock

FRAUD = ModelRef("fraud")
ROUTES: dict[str, tuple[str, ...]] = {
    "model_version.created": ("validate",),
    "model_version_tag.set": ("look",),
    "model_version_alias.created": ("confirm",),
    "model_version.validated": ("promote",),
    "work.free": ("free",),
    "work.production": ("promote",),
    "work.told": ("notify",),
    "rollback.requested": ("free",),
    "dispatch.died": ("tell",),
}
ROUTING = Routing(
    routes=ROUTES,
    lanes={"promote": "production", "confirm": "production"},
    queues={"validate": "validation"},
)
LEASE_SECONDS = 60.0
OCCURRED = datetime.fromisoformat("2026-03-01T12:00:00+00:00")


@cache
def migrated_journal() -> bytes:
    """The file of an empty journal: a migration takes as long as some tests."""
    with tempfile.TemporaryDirectory(prefix="steward-") as directory:
        file = Path(directory) / "template.db"
        journal = Journal(open_engine(f"sqlite:///{file}"), ROUTING)
        upgrade(journal)
        journal.checkpoint()
        journal.close()
        return file.read_bytes()


@pytest.fixture(scope="session")
def migrated_journal_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty journal, migrated once and copied for every test."""
    file = tmp_path_factory.mktemp("journal") / "template.db"
    file.write_bytes(migrated_journal())
    return file


@pytest.fixture
def journal_url(migrated_journal_file: Path, tmp_path: Path) -> str:
    """Where the test's own journal is; its tables are ready."""
    shutil.copy(migrated_journal_file, tmp_path / "journal.db")
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture
def empty_url(tmp_path: Path) -> str:
    """Where a journal may be made: nothing is there yet."""
    return f"sqlite:///{tmp_path / 'data' / 'journal.db'}"


FreshJournal = Callable[[], AbstractContextManager[str]]
"""Gives one journal after another, each empty and migrated: for examples inside one test."""


@pytest.fixture(scope="session")
def fresh_journal(migrated_journal_file: Path) -> FreshJournal:
    @contextmanager
    def fresh() -> Iterator[str]:
        with tempfile.TemporaryDirectory(prefix="steward-") as directory:
            file = shutil.copy(migrated_journal_file, Path(directory) / "journal.db")
            yield f"sqlite:///{file}"

    return fresh


@pytest.fixture
def journal(journal_url: str, clock: FixedClock) -> Iterator[Journal]:
    journal = open_at(journal_url, clock)
    yield journal
    journal.close()


def open_at(url: str, clock: Clock | None = None, routing: Routing = ROUTING) -> Journal:
    return Journal(open_engine(url), routing, clock=clock)


class FlakyJournal(Journal):
    """A journal whose next writes fail, as often as ``failures`` says."""

    failures = 0
    failure: Exception = JournalUnavailableError("away")

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        if self.failures:
            self.failures -= 1
            raise self.failure
        with super().write() as transaction:
            yield transaction


@pytest.fixture
def flaky(journal_url: str) -> Iterator[FlakyJournal]:
    journal = FlakyJournal(open_engine(journal_url), ROUTING)
    yield journal
    journal.close()


# --- deliveries -----------------------------------------------------------------------------------


def delivered(journal: Journal, *batch: Delivery) -> list[Receipt]:
    return deliveries.record(journal, batch)[0]


def version_created(number: str = "1", *, at: datetime, id: str, **more: Any) -> Delivery:  # noqa: A002
    news = News(
        "model_version.created", "mlflow/default", FRAUD, number, number, "exists", True, **more
    )
    return Delivery("mlflow", id, b"{}", at, news)


def tag_set(value: str | None, *, at: datetime, id: str, key: str = "k") -> Delivery:  # noqa: A002
    kind = "deleted" if value is None else "set"
    news = News(f"model_version_tag.{kind}", "mlflow/default", FRAUD, "1", "1", f"tag:{key}", value)
    return Delivery("mlflow", id, b"{}", at, news)


def alias_set(version: str | None, *, at: datetime, id: str) -> Delivery:  # noqa: A002
    kind = "deleted" if version is None else "created"
    news = News(
        f"model_version_alias.{kind}", "mlflow/default", FRAUD, version, "", "alias:best", version
    )
    return Delivery("mlflow", id, b"{}", at, news)


# --- events and dispatches ------------------------------------------------------------------------


def happened(
    journal: Journal,
    type: str,  # noqa: A002
    *,
    model: ModelRef | None = FRAUD,
    version: str | None = None,
) -> list[Hint]:
    """Journal one event of Steward's own, of a model that it knows, and its dispatches."""
    with journal.write() as transaction:
        writer = EventWriter(journal, transaction)
        state = ObservedState(transaction, writer)
        state.lock_models([model] if model else [])
        model_id = state.model_id(model) if model else None
        writer.add(NewEvent(type, model, version), seen=0, model_id=model_id)
        writer.flush()
    return transaction.hints


def dispatched(journal: Journal, type: str, **more: Any) -> str:  # noqa: A002
    """Journal an event that has one dispatch, and name that."""
    [hint] = happened(journal, type, **more)
    return hint.dispatch_id


def claim(journal: Journal, dispatch_id: str, owner: str = "w") -> Claimed | None:
    return claims.claim(journal, dispatch_id, owner, lease_seconds=LEASE_SECONDS)


def claimed(journal: Journal, dispatch_id: str, owner: str = "w") -> Claimed:
    mine = claim(journal, dispatch_id, owner)
    assert mine is not None
    return mine


def finish(journal: Journal, dispatch_id: str, outcome: Any = None) -> list[Hint]:
    return dispatches.record(journal, claimed(journal, dispatch_id), outcome or Done())


# --- looking --------------------------------------------------------------------------------------


def rows_of(journal: Journal, table: Any) -> list[Any]:
    with journal.read() as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key.columns)))


def row_of(journal: Journal, dispatch_id: str) -> Any:
    with journal.read() as connection:
        query = select(dispatches_table).where(dispatches_table.c.id == dispatch_id)
        return connection.execute(query).one()


def outcomes(journal: Journal, dispatch_id: str) -> list[str]:
    with journal.read() as connection:
        query = select(attempts.c.outcome).where(attempts.c.dispatch_id == dispatch_id)
        return list(connection.execute(query.order_by(attempts.c.id)).scalars())


def events_in(journal: Journal, *types: str) -> list[Event]:
    """Every event (of these types), oldest first."""
    with journal.read() as connection:
        items, _ = queries.list_events(connection, queries.EventFilter(), cursor=None, limit=10_000)
    found = [event for event, _ in reversed(items)]
    return [event for event in found if not types or event.type in types]


def event(journal: Journal, event_id: str | None) -> Event:
    with journal.read() as connection:
        found = queries.get_event(connection, str(event_id))
    assert found is not None
    return found


def kept_deliveries(journal: Journal) -> list[Any]:
    return rows_of(journal, deliveries_table)


def begin_before(journal: Journal, at: datetime) -> None:
    """Make the journal older than what it will read, so that nothing is history."""
    with journal.write() as transaction:
        installation = metadata.tables["installation"]
        transaction.connection.execute(
            update(installation).values(created_at=at - timedelta(days=1))
        )


def model_ids(journal: Journal) -> list[int]:
    return [row.id for row in rows_of(journal, models_table)]
