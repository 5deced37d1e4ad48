"""Intents and effects (ports.Ledger): committed before something is done to the outside world."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, func, insert, select, update

from steward.events import ModelRef
from steward.failpoints import failpoint
from steward.journal.claims import Claimed, heartbeat, hold
from steward.journal.observed import ObservedState
from steward.journal.schema import (
    attempts,
    dispatches,
    effects,
    holdout_uses,
    intents,
    is_living,
    models,
)
from steward.journal.store import Journal, Transaction, insert_or_ignore, retried
from steward.journal.writing import EventWriter
from steward.ports import Intent

LONGEST_WRITE_SECONDS = 20.0
"""What a call of the registry may take: two tries of ten seconds."""


class JournalLedger:
    """ports.Ledger over the journal, for one claimed dispatch."""

    def __init__(self, journal: Journal, claimed: Claimed, *, lease_seconds: float = 60.0) -> None:
        self._journal = journal
        self._claimed = claimed
        self._lease_seconds = lease_seconds

    def secure(self) -> None:
        """Make sure that the dispatch stays ours for as long as one call of the outside may take.

        Called last before each such call: a process may have stood still since its intent. One
        read, as long as heartbeats come.

        Raises:
            LeaseLostError: somebody else owns the dispatch now.

        """
        table = dispatches.c
        query = select(table.lease_until).where(
            table.id == self._claimed.work.dispatch_id,
            table.state == "running",
            table.token == self._claimed.token,
        )
        enough = timedelta(seconds=min(LONGEST_WRITE_SECONDS, self._lease_seconds / 2))
        with self._journal.read() as connection:
            until = connection.execute(query).scalar()
            is_long_enough = until is not None and until - self._journal.now(connection) > enough
        if not is_long_enough:
            heartbeat(self._journal, self._claimed, lease_seconds=self._lease_seconds)

    @retried
    def intend(self, intended: Sequence[Intent]) -> None:
        with self._journal.write() as transaction:
            hold(transaction, self._claimed)
            state = ObservedState(transaction, EventWriter(self._journal, transaction))
            state.lock_models(intent.model for intent in intended)
            rows = [
                self._row(transaction, intent, state.model_id(intent.model)) for intent in intended
            ]
            transaction.connection.execute(insert(intents), rows)
        failpoint("intent.after_commit")

    def begun(self) -> list[tuple[Intent, datetime]]:
        # A run that came to its end left nothing half done: a replay of it begins anew.
        has_ended = exists().where(
            attempts.c.dispatch_id == intents.c.dispatch_id,
            attempts.c.run == intents.c.run,
            attempts.c.outcome == "succeeded",
        )
        query = (
            select(intents, models.c.registry, models.c.workspace, models.c.name)
            .join(models, models.c.id == intents.c.model_id)
            .where(intents.c.dispatch_id == self._claimed.work.dispatch_id, ~has_ended)
            .order_by(intents.c.id)
        )
        with self._journal.read() as connection:
            rows = connection.execute(query).all()
        return [
            (
                Intent(
                    ModelRef(row.name, registry=row.registry, workspace=row.workspace),
                    row.subject,
                    row.facet,
                    row.value,
                ),
                row.intended_at,
            )
            for row in rows
        ]

    def times_intended(self, intent: Intent, *, since: datetime) -> int:
        work = self._claimed.work
        query = (
            select(intents.c.dispatch_id, intents.c.value)
            .join(models, models.c.id == intents.c.model_id)
            .join(dispatches, dispatches.c.id == intents.c.dispatch_id)
            .where(
                *is_living(intent.model),
                intents.c.subject == intent.subject,
                intents.c.facet == intent.facet,
                intents.c.intended_at > since,
                dispatches.c.handler == work.handler,
                dispatches.c.id != work.dispatch_id,
            )
        )
        with self._journal.read() as connection:
            rows = connection.execute(query).all()
        return len({row.dispatch_id for row in rows if row.value == intent.value})

    @retried
    def begin_effect(self, key: str, kind: str, request: Mapping[str, Any]) -> str:
        with self._journal.write() as transaction:
            hold(transaction, self._claimed)
            query = select(effects.c.state).where(effects.c.key == key)
            state = transaction.connection.execute(query).scalar()
            if state in ("begun", "done"):
                return "done" if state == "done" else "unknown"
            begun = {"state": "begun", "request": dict(request), "begun_at": transaction.now}
            named = {"key": key, "dispatch_id": self._claimed.work.dispatch_id, "kind": kind}
            transaction.connection.execute(
                insert(effects).values(named | begun)
                if state is None
                else update(effects).where(effects.c.key == key).values(begun)
            )
        failpoint("effect.after_begin")
        return "new"

    @retried
    def use_holdout(self, model: ModelRef, version: str, sha256: str) -> int:
        with self._journal.write() as transaction:
            hold(transaction, self._claimed)
            state = ObservedState(transaction, EventWriter(self._journal, transaction))
            state.lock_models([model])
            model_id, table = state.model_id(model), holdout_uses.c
            transaction.connection.execute(
                insert_or_ignore(transaction.connection, holdout_uses).values(
                    model_id=model_id, sha256=sha256, version=version, used_at=transaction.now
                )
            )
            query = select(func.count()).where(table.model_id == model_id, table.sha256 == sha256)
            return transaction.connection.execute(query).scalar_one()

    @retried
    def refuse_effect(self, key: str, answer: str) -> None:
        with self._journal.write() as transaction:
            hold(transaction, self._claimed)  # who took over may have tried it by now
            transaction.connection.execute(
                update(effects)
                .where(effects.c.key == key, effects.c.state == "begun")
                .values(state="refused", answer=answer)
            )

    @retried  # given up, the next try would find it begun, and a message would be sent twice
    def finish_effect(self, key: str, answer: str) -> None:
        failpoint("channel.after_send")
        # Without the lease too: it did happen, and who took over must not do it again.
        with self._journal.write() as transaction:
            transaction.connection.execute(
                update(effects)
                .where(effects.c.key == key)
                .values(state="done", answer=answer, done_at=transaction.now)
            )

    def _row(self, transaction: Transaction, intent: Intent, model_id: int) -> dict[str, Any]:
        return {
            "model_id": model_id,
            "subject": intent.subject,
            "facet": intent.facet,
            "value": intent.value,
            "dispatch_id": self._claimed.work.dispatch_id,
            "run": self._claimed.work.run,
            "event_id": self._claimed.event.id,
            "intended_at": transaction.now,
        }
