"""Counts that outlive the process that counts: of the installation, not of one process."""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, select, update

from steward.events import EventType
from steward.journal.schema import counters
from steward.journal.store import Transaction, insert_or_ignore

REDELIVERED_HINTS = "redelivered_hints"
"""Hints sent again because nobody answered the one before."""
EXPIRED_LEASES = "expired_leases"
"""Dispatches whose worker stopped answering."""
SEEN_BY_POLL = "seen_by_poll:"
"""Before an event's type: events that no webhook told of, those alone that none told of since."""

_MORE = (
    update(counters)
    .where(counters.c.name == bindparam("b_name"))
    .values(value=counters.c.value + bindparam("b_amount"))
)


def add(transaction: Transaction, name: str, amount: int) -> None:
    """Count in the same transaction as what is counted; a negative amount takes back."""
    if amount:
        transaction.counts[name] += amount


def seen_by_poll(transaction: Transaction, types: Iterable[str], amount: int) -> None:
    """Count events of these types as seen by the poll alone, or (-1) no longer."""
    for each in types:
        add(transaction, SEEN_BY_POLL + each, amount)


def write_down(transaction: Transaction) -> None:
    """Write what a transaction counted: its last step, in one order for every process."""
    connection = transaction.connection
    for name, amount in sorted(transaction.counts.items()):
        more = {"b_name": name, "b_amount": amount}
        if amount and connection.execute(_MORE, more).rowcount == 0:
            connection.execute(insert_or_ignore(connection, counters).values(name=name, value=0))
            connection.execute(_MORE, more)


def read(connection: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Every count by name, and apart from them the events seen by the poll alone, by type.

    What was never counted is 0, so that a first one is seen as a change.
    """
    found = {REDELIVERED_HINTS: 0, EXPIRED_LEASES: 0}
    polled: dict[str, int] = {str(EventType.VERSION_CREATED): 0}
    for row in connection.execute(select(counters)):
        if row.name.startswith(SEEN_BY_POLL):
            polled[row.name.removeprefix(SEEN_BY_POLL)] = row.value
        else:
            found[row.name] = row.value
    return found, polled
