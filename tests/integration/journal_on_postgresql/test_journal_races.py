from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import event, text

from steward.journal.commands import pause, resume
from steward.journal.dispatches import record, release
from steward.journal.schema import attempts
from steward.journal.store import Journal
from steward.ports import Done, Wait
from tests.integration.postgresql_support import on_postgresql
from tests.servers import eventually
from tests.unit import test_journal_races
from tests.unit.journal_support import FRAUD, claimed, dispatched, row_of, rows_of

globals().update(on_postgresql(test_journal_races))


def while_it_claims(journal: Journal, do: Callable[[], object]) -> None:
    """Let something happen once the next claim has begun, and before it looks."""
    waiting = [do]

    def act(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM dispatches" in statement and waiting:
            waiting.pop()()

    event.listen(journal.engine, "before_cursor_execute", act)


def test_a_claim_that_began_before_its_lane_was_free_is_dated_after_that(
    several: list[Journal],
) -> None:
    one, two, _ = several
    first, second = (dispatched(one, "work.production") for _ in range(2))
    while_it_claims(two, partial(record, one, claimed(one, first), Done()))

    after = claimed(two, second)

    [before] = rows_of(one, attempts)
    assert (before.dispatch_id, after.work.dispatch_id) == (first, second)
    assert before.ended_at < after.claimed_at
    assert row_of(one, second).claimed_at == after.claimed_at


def test_what_comes_back_to_its_lane_while_a_claim_looks_is_not_overtaken(
    several: list[Journal],
) -> None:
    one, two, _ = several
    first, second = (dispatched(one, "work.production") for _ in range(2))
    while_it_claims(two, partial(release, one, claimed(one, first)))

    assert claimed(two, second).work.dispatch_id == first


def test_who_would_wait_for_a_pause_that_is_being_ended_goes_on(several: list[Journal]) -> None:
    one, two, three = several
    pause(one, FRAUD, actor="ana", reason="audit")
    work = dispatched(one, "work.free")
    mine = claimed(two, work)
    wait = Wait(datetime.now(UTC) + timedelta(days=30), "paused", check_seconds=3600, is_pause=True)
    recorded: list[Future[Any]] = []

    def is_blocked() -> bool:
        with three.read() as connection:
            query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(connection.execute(query).scalar())

    with ThreadPoolExecutor(1) as pool:

        def record_meanwhile(_: Any) -> None:
            if not recorded:
                recorded.append(pool.submit(record, two, mine, wait))
                eventually(is_blocked)

        event.listen(one.engine, "commit", record_meanwhile)
        resume(one, FRAUD, actor="ana", reason="done")
        hints = recorded[0].result(30)

    assert work in {hint.dispatch_id for hint in hints}
    assert row_of(one, work).due_at < datetime.now(UTC)
