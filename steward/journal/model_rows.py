"""The rows of models, found or made, and locked: in one order for every process.

Whoever compares news of a model with what is known of it holds this lock until its commit.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import select, tuple_

from steward.events import ModelRef
from steward.journal.bulk import chunks
from steward.journal.schema import models
from steward.journal.store import JournalConflictError, Transaction, insert_or_ignore


def lock_known(transaction: Transaction, refs: Iterable[ModelRef]) -> dict[ModelRef, int]:
    """Lock the rows of those models that have one, and name them; makes none."""
    return _living(transaction, sorted(set(refs), key=_name_of))


def lock_or_make(transaction: Transaction, refs: Iterable[ModelRef]) -> dict[ModelRef, int]:
    """Find or make the row of each model and lock it.

    Raises:
        JournalConflictError: a model was deleted in between.

    """
    wanted = sorted(set(refs), key=_name_of)
    found = _living(transaction, wanted)
    missing = [ref for ref in wanted if ref not in found]
    if missing:
        _insert(transaction, missing)
        found |= _living(transaction, missing)
    if len(found) < len(wanted):
        raise JournalConflictError("A model was deleted while its news was recorded.")
    return found


def _living(transaction: Transaction, refs: Sequence[ModelRef]) -> dict[ModelRef, int]:
    table = models.c
    found: dict[ModelRef, int] = {}
    for chunk in chunks(refs):
        query = (
            select(table.id, table.registry, table.workspace, table.name)
            .where(
                # For a list of triples alone SQLite scans the whole table; these find the rows.
                table.registry.in_({ref.registry for ref in chunk}),
                table.workspace.in_({ref.workspace for ref in chunk}),
                table.name.in_({ref.name for ref in chunk}),
                tuple_(table.registry, table.workspace, table.name).in_(
                    [_name_of(ref) for ref in chunk]
                ),
                table.deleted_at.is_(None),
            )
            .order_by(table.id)
            .with_for_update()
        )
        for row in transaction.connection.execute(query):
            found[ModelRef(row.name, row.registry, row.workspace)] = row.id
    return found


def _insert(transaction: Transaction, refs: Sequence[ModelRef]) -> None:
    transaction.connection.execute(
        insert_or_ignore(transaction.connection, models),  # another process may be faster
        [
            {
                "registry": ref.registry,
                "workspace": ref.workspace,
                "name": ref.name,
                "first_seen_at": transaction.now,
            }
            for ref in refs
        ],
    )


def _name_of(ref: ModelRef) -> tuple[str, str, str]:
    return ref.registry, ref.workspace, ref.name
