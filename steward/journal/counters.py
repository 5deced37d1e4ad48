"""Counts that outlive the process that counts: what the sweep's leader did for the installation."""

from sqlalchemy import Connection, select, update

from steward.journal.schema import counters
from steward.journal.store import Transaction, insert_or_ignore

REDELIVERED_HINTS = "redelivered_hints"
"""Hints sent again because nobody answered the one before."""
EXPIRED_LEASES = "expired_leases"
"""Dispatches whose worker stopped answering."""


def add(transaction: Transaction, name: str, amount: int) -> None:
    """Count in the same transaction as what is counted."""
    if amount == 0:
        return
    connection = transaction.connection
    more = update(counters).where(counters.c.name == name).values(value=counters.c.value + amount)
    if connection.execute(more).rowcount == 0:
        connection.execute(insert_or_ignore(connection, counters).values(name=name, value=0))
        connection.execute(more)


def read(connection: Connection) -> dict[str, int]:
    """Every count by name; what was never counted is 0."""
    found = {REDELIVERED_HINTS: 0, EXPIRED_LEASES: 0}
    return found | {row.name: row.value for row in connection.execute(select(counters))}
