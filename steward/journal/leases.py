"""Named leases: one sweep and one poller a registry at a time, on however many machines."""

from datetime import timedelta

from sqlalchemy import delete, select, update

from steward.journal.schema import leases
from steward.journal.store import Journal, insert_or_ignore


def acquire(journal: Journal, name: str, holder: str, *, seconds: float) -> bool:
    """Take or extend a lease; False when somebody else holds it and it has not ended."""
    with journal.write() as transaction:
        connection, until = transaction.connection, transaction.now + timedelta(seconds=seconds)
        row = connection.execute(select(leases).where(leases.c.name == name)).first()
        if row is None:
            made = connection.execute(
                insert_or_ignore(connection, leases).values(
                    name=name, holder=holder, token=1, expires_at=until
                )
            )
            return bool(made.rowcount)
        if row.holder != holder and row.expires_at > transaction.now:
            return False
        token = row.token if row.holder == holder else row.token + 1
        taken = connection.execute(
            update(leases)
            .where(leases.c.name == name, leases.c.token == row.token)
            .values(holder=holder, token=token, expires_at=until)
        )
        return bool(taken.rowcount)


def give_back(journal: Journal, name: str, holder: str) -> None:
    """End a lease early, so that another may take it at once."""
    with journal.write() as transaction:
        transaction.connection.execute(
            delete(leases).where(leases.c.name == name, leases.c.holder == holder)
        )


def holders(journal: Journal) -> dict[str, str]:
    """Who holds each lease that has not ended."""
    with journal.read() as connection:
        query = select(leases).where(leases.c.expires_at > journal.now(connection))
        return {row.name: row.holder for row in connection.execute(query)}
