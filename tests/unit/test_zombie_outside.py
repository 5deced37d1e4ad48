# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
"""A worker that lost its dispatch while it stood still writes and sends nothing any more."""

import pytest

from steward.errors import LeaseLostError
from steward.journal import sweeping
from steward.journal.ledger import JournalLedger
from steward.journal.store import TRANSACTIONS, Journal
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    LEASE_SECONDS,
    claimed,
    dispatched,
    journal,
    journal_url,
    migrated_journal_file,
    row_of,
)


def test_who_holds_its_dispatch_may_write_and_pays_no_transaction(journal: Journal) -> None:
    ledger = JournalLedger(journal, claimed(journal, dispatched(journal, "work.free")))
    before = TRANSACTIONS._value.get()

    ledger.secure()

    assert TRANSACTIONS._value.get() == before


def test_a_lease_that_a_write_could_outlast_is_extended_first(
    journal: Journal, clock: FixedClock
) -> None:
    work = dispatched(journal, "work.free")
    ledger = JournalLedger(journal, claimed(journal, work), lease_seconds=LEASE_SECONDS)
    clock.advance(LEASE_SECONDS - 10)

    ledger.secure()

    assert (row_of(journal, work).lease_until - clock.at).total_seconds() == LEASE_SECONDS


def test_who_lost_its_dispatch_may_not_write(journal: Journal, clock: FixedClock) -> None:
    work = dispatched(journal, "work.free")
    ledger = JournalLedger(journal, claimed(journal, work, "zombie"))
    clock.advance(LEASE_SECONDS + 1)
    sweeping.expire(journal, deaths_allowed=3)

    with pytest.raises(LeaseLostError, match="no longer held by zombie"):
        ledger.secure()

    claimed(journal, work, "heir")
    with pytest.raises(LeaseLostError, match="no longer held by zombie"):
        ledger.secure()
