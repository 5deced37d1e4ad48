"""What a process wants everybody to know until it is over, such as a refused policy file.

The poller writes; ``/api/v1/health`` shows.
"""

from sqlalchemy import Connection, delete, insert, select

from steward.journal.schema import notices
from steward.journal.store import Journal, retried

POLICY = "policy"


@retried
def put(journal: Journal, name: str, text: str) -> None:
    """Note it, instead of what was noted under this name before."""
    with journal.write() as transaction:
        transaction.connection.execute(delete(notices).where(notices.c.name == name))
        transaction.connection.execute(
            insert(notices).values(name=name, text=text, noted_at=transaction.now)
        )


def clear(journal: Journal, name: str) -> None:
    """It is over; nothing happens when nothing was noted."""
    with journal.write() as transaction:
        transaction.connection.execute(delete(notices).where(notices.c.name == name))


def texts(connection: Connection) -> dict[str, str]:
    """Every notice by name."""
    query = select(notices.c.name, notices.c.text)
    return {row.name: row.text for row in connection.execute(query)}
