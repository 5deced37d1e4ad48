from typing import Any

from sqlalchemy import event

from steward.journal.dispatches import record
from steward.journal.schema import attempts
from steward.journal.store import Journal
from steward.ports import Done
from tests.integration.postgresql_support import on_postgresql
from tests.unit import test_journal_races
from tests.unit.journal_support import claimed, dispatched, row_of, rows_of

globals().update(on_postgresql(test_journal_races))


def test_a_claim_that_began_before_its_lane_was_free_is_dated_after_that(
    several: list[Journal],
) -> None:
    one, two, _ = several
    first, second = (dispatched(one, "work.production") for _ in range(2))
    unfinished = [claimed(one, first)]

    def let_it_finish(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM dispatches" in statement and unfinished:  # the claim has begun, and looks now
            record(one, unfinished.pop(), Done())

    event.listen(two.engine, "before_cursor_execute", let_it_finish)
    after = claimed(two, second)

    [before] = rows_of(one, attempts)
    assert before.dispatch_id == first
    assert before.ended_at < after.claimed_at
    assert row_of(one, second).claimed_at == after.claimed_at
