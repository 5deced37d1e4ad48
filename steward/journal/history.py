"""What the journal tells handlers: verdicts, past champions, desired state, pauses (ports.History).

One object serves one claimed dispatch.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from steward.events import Event, EventType, ModelRef, NewEvent
from steward.journal import approvals, queries, readings
from steward.journal.champions import champion_changes, numbers, past_champions, rolled_back_from
from steward.journal.claims import Claimed, hold
from steward.journal.schema import desired, pauses
from steward.journal.store import Journal, Transaction, retried
from steward.journal.verdicts import is_decided, standing_verdict, under_judgement
from steward.journal.writing import EventWriter
from steward.ports import Desired, Verdict


class JournalHistory:
    """ports.History over the journal."""

    def __init__(self, journal: Journal, claimed: Claimed) -> None:
        self._journal = journal
        self._claimed = claimed

    def look(self, model: ModelRef) -> readings.ModelLook:
        return readings.look(self._journal, model)

    def verdict(self, model: ModelRef, version: str) -> Verdict | None:
        with self._journal.read() as connection:
            return standing_verdict(connection, model, version)

    def is_decided(self, model: ModelRef, version: str) -> bool:
        with self._journal.read() as connection:
            return is_decided(connection, model, version)

    def under_judgement(self, model: ModelRef) -> frozenset[str]:
        with self._journal.read() as connection:
            return under_judgement(connection, model)

    def rolled_back_from(self, model: ModelRef) -> frozenset[str]:
        with self._journal.read() as connection:
            return rolled_back_from(connection, model)

    def rejected_by_person(self, model: ModelRef) -> frozenset[str]:
        with self._journal.read() as connection:
            return frozenset(approvals.rejected(connection, model))

    def said(self, model: ModelRef, version: str) -> list[Event]:
        with self._journal.read() as connection:
            return approvals.said(connection, model, version)

    def champions(self, model: ModelRef) -> list[str]:
        with self._journal.read() as connection:
            return past_champions(connection, model)

    def changes(self, model: ModelRef, *, since: datetime) -> list[Event]:
        with self._journal.read() as connection:
            return champion_changes(connection, model, since=since)

    def numbers(self, model: ModelRef) -> dict[str, str]:
        with self._journal.read() as connection:
            return numbers(connection, model)

    def chain(self, event_id: str) -> list[Event]:
        with self._journal.read() as connection:
            return queries.chain(connection, event_id)

    def caused(self, event_id: str) -> list[Event]:
        with self._journal.read() as connection:
            return queries.caused_by(connection, event_id)

    def desired(self, model: ModelRef) -> Desired | None:
        with self._journal.read() as connection:
            row = desired_row(connection, model)
        return Desired(model, row.version, row.generation) if row else None

    @retried
    def next_generation(self, model: ModelRef, version: str | None, cause: Event) -> Desired:
        with self._journal.write() as transaction:
            hold(transaction, self._claimed)
            return _advance(self._journal, transaction, self._claimed, model, version, cause)

    def paused(self, model: ModelRef) -> str | None:
        with self._journal.read() as connection:
            row = pause_of(connection, model)
        return f"paused by {row.actor}: {row.reason}" if row else None


def desired_row(connection: Connection, model: ModelRef) -> Row[*tuple[Any, ...]] | None:
    """The desired state of one model's replicas."""
    return connection.execute(_desired(model)).first()


def _desired(model: ModelRef) -> Select[*tuple[Any, ...]]:
    return select(desired).where(
        desired.c.registry == model.registry,
        desired.c.workspace == model.workspace,
        desired.c.model == model.name,
    )


def pause_of(
    connection: Connection, model: ModelRef | None, *, is_kept: bool = False
) -> Row[*tuple[Any, ...]] | None:
    """The pause that covers a model: its own, or everything's.

    ``is_kept``: until the transaction ends nobody ends it; one that is being ended is awaited.
    """
    scopes = ["", scope_of(model)] if model else [""]
    query = select(pauses).where(pauses.c.scope.in_(scopes)).order_by(pauses.c.scope.desc())
    return connection.execute(query.with_for_update(read=True) if is_kept else query).first()


def scope_of(model: ModelRef | None) -> str:
    """What a pause covers, as a key."""
    return f"{model.registry}/{model.workspace}/{model.name}" if model else ""


def _advance(  # noqa: PLR0917  # the six things that a new generation is made of
    journal: Journal,
    transaction: Transaction,
    claimed: Claimed,
    model: ModelRef,
    version: str | None,
    cause: Event,
) -> Desired:
    row = transaction.connection.execute(_desired(model).with_for_update()).first()
    mine = (claimed.work.dispatch_id, claimed.work.run)
    if row and (row.dispatch_id, row.run) == mine and row.version == version:
        return Desired(model, row.version, row.generation)
    generation = (row.generation if row else 0) + 1
    writer = EventWriter(journal, transaction)
    event_id = writer.add(
        NewEvent(
            EventType.ROLLOUT_STARTED,
            model,
            version,
            before=row.version if row else None,
            after=version,
            data={"generation": generation},
            caused_by=cause.id,
        ),
        seen=0,
        model_id=claimed.model_id,
    )
    writer.flush()
    values = {
        "version": version,
        "generation": generation,
        "dispatch_id": mine[0],
        "run": mine[1],
        "event_id": event_id,
        "changed_at": transaction.now,
    }
    key = {"registry": model.registry, "workspace": model.workspace, "model": model.name}
    if row:
        statement = update(desired).where(*(desired.c[name] == key[name] for name in key))
        transaction.connection.execute(statement.values(values))
    else:
        transaction.connection.execute(insert(desired).values({**key, **values}))
    return Desired(model, version, generation)
