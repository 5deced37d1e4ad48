# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
"""A batch of replays: spread over time, behind other work, and stopped before its end."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from steward.errors import JournalUnavailableError, NotFoundError
from steward.journal import batches, dispatches, replay, sweeping
from steward.journal.retention import Keep, age_out
from steward.journal.routing import Routing
from steward.journal.schema import dispatches as dispatches_table
from steward.journal.store import Journal
from steward.ports import Hint, Wait
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    ROUTES,
    claimed,
    dispatched,
    events_in,
    finish,
    journal,
    journal_url,
    migrated_journal_file,
    open_at,
    outcomes,
    row_of,
    rows_of,
)


def dead(journal: Journal) -> str:
    work = dispatched(journal, "work.told")
    dispatches.fail(journal, claimed(journal, work), "410 Gone", retry_in_seconds=None)
    return work


def replayed(journal: Journal, rate: float, mode: replay.Mode = "failed") -> tuple[str, list[Hint]]:
    batch, _, hints = batches.apply(
        journal,
        events_in(journal),
        handlers=None,
        mode=mode,
        actor="ana",
        reason="",
        rate=rate,
    )
    return batch, hints


def test_so_many_begin_in_each_second(journal: Journal, clock: FixedClock) -> None:
    work = [dead(journal) for _ in range(5)]
    clock.advance(60)

    _, hints = replayed(journal, rate=2)

    assert [(hint.dispatch_id, hint.is_patient) for hint in hints] == [(w, True) for w in work[:2]]
    due = [(row_of(journal, each).due_at - clock.at).total_seconds() for each in work]
    assert due == [0, 0, 1, 1, 2]


def test_the_sweep_hints_them_when_they_are_due_and_behind_new_work(
    journal: Journal, clock: FixedClock
) -> None:
    work = [dead(journal) for _ in range(3)]
    clock.advance(60)
    sweeping.due(journal)
    replayed(journal, rate=1)
    new = dispatched(journal, "work.free")
    clock.advance(1)

    early = sweeping.due(journal)
    clock.advance(5)
    late = {hint.dispatch_id: hint.is_patient for hint in sweeping.due(journal)}

    assert [(hint.dispatch_id, hint.is_patient) for hint in early] == [(work[1], True)]
    assert late[work[2]]
    assert not late[new]


def test_of_a_backlog_so_many_wait_as_are_soon_done_and_new_work_goes_first(
    journal: Journal, clock: FixedClock
) -> None:
    for _ in range(sweeping.WINDOW + 30):
        dispatched(journal, "work.free")
    other = dispatched(journal, "work.told")
    clock.advance(6)

    hints = sweeping.due(journal, limit=sweeping.WINDOW + 10)
    more = sweeping.due(journal)

    assert Counter(hint.handler for hint in hints) == {"free": sweeping.WINDOW, "notify": 1}
    assert {hint.is_patient for hint in hints if hint.handler == "free"} == {True}
    assert [hint.is_patient for hint in hints if hint.dispatch_id == other] == [False]
    assert more == []


def test_when_some_of_a_backlog_are_done_others_are_hinted(
    journal: Journal, clock: FixedClock
) -> None:
    work = [dispatched(journal, "work.free") for _ in range(sweeping.WINDOW + 30)]
    clock.advance(6)
    hinted = {hint.dispatch_id for hint in sweeping.due(journal)}
    assert hinted == set(work[: sweeping.WINDOW])

    for each in work[:10]:
        finish(journal, each)

    assert [hint.dispatch_id for hint in sweeping.due(journal)] == work[
        sweeping.WINDOW : sweeping.WINDOW + 10
    ]


def test_a_handler_that_nobody_answers_holds_up_no_other(
    journal: Journal, clock: FixedClock
) -> None:
    for _ in range(3 * sweeping.WINDOW):
        dispatched(journal, "work.free")
    clock.advance(6)
    other = dispatched(journal, "work.told")
    for _ in range(3):
        sweeping.due(journal, limit=sweeping.WINDOW)
    clock.advance(6)

    hints = [*sweeping.due(journal, limit=sweeping.WINDOW), *sweeping.due(journal)]

    assert other in {hint.dispatch_id for hint in hints}


def test_cancelling_puts_back_what_has_not_begun(journal: Journal, clock: FixedClock) -> None:
    work = [dead(journal) for _ in range(3)]
    before = [row_of(journal, each) for each in work]
    clock.advance(60)
    batch, _ = replayed(journal, rate=1)
    finish(journal, work[0])

    done = batches.cancel(journal, batch, actor="ben")

    assert (done.cancelled, done.left) == (2, 1)
    assert row_of(journal, work[0]).state == "succeeded"
    for each, was in zip(work[1:], before[1:], strict=True):
        row = row_of(journal, each)
        assert (row.state, row.note, row.run) == ("dead", "410 Gone", 1)
        assert row.finished_at == was.finished_at
        assert outcomes(journal, each) == ["dead", "replayed", "cancelled"]
    clock.advance(3600)
    assert sweeping.due(journal) == []


def test_what_was_cancelled_can_be_replayed_again(journal: Journal, clock: FixedClock) -> None:
    work = [dead(journal) for _ in range(2)]
    batch, _ = replayed(journal, rate=0.5)
    batches.cancel(journal, batch, actor="ben")

    _, hints = replayed(journal, rate=100)

    assert {hint.dispatch_id for hint in hints} == set(work)
    finish(journal, work[1])
    assert row_of(journal, work[1]).run == 2


def test_a_batch_that_never_was_cannot_be_cancelled(journal: Journal) -> None:
    with pytest.raises(NotFoundError, match="There is no batch nonsense"):
        batches.cancel(journal, "nonsense", actor="ben")


def test_a_batch_knows_its_models(journal: Journal) -> None:
    dead(journal)
    batch, _ = replayed(journal, rate=1)

    assert batches.models_of(journal, batch) == {"fraud"}


@pytest.fixture
def newer(journal_url: str, clock: FixedClock) -> Iterator[Journal]:
    """The same journal, of a Steward whose table gained a handler."""
    opened = open_at(journal_url, clock, Routing({**ROUTES, "work.free": ("free", "annotate")}))
    yield opened
    opened.close()


def inserted(journal: Journal) -> list[str]:
    rows = [row for row in rows_of(journal, dispatches_table) if row.handler == "annotate"]
    return [row.id for row in sorted(rows, key=lambda row: (row.due_at, row.id))]


def test_what_a_batch_inserts_is_spread_over_time_and_behind_other_work(
    journal: Journal, newer: Journal, clock: FixedClock
) -> None:
    for _ in range(2):
        finish(journal, dispatched(journal, "work.free"))
    clock.advance(60)

    _, hints = replayed(newer, rate=1, mode="all")
    clock.advance(3)
    later = {hint.dispatch_id: hint.is_patient for hint in sweeping.due(newer)}

    assert [(hint.handler, hint.is_patient) for hint in hints] == [("free", True)]
    new = inserted(newer)
    due = [(clock.at - row_of(newer, each).due_at).total_seconds() for each in new]
    assert due == [1, 0]
    assert [later[each] for each in new] == [True, True]
    assert row_of(newer, new[0]).note == "replayed by ana"


def test_cancelling_ends_what_the_batch_inserted_and_a_replay_may_take_it_again(
    journal: Journal, newer: Journal
) -> None:
    finish(journal, dispatched(journal, "work.free"))
    batch, _ = replayed(newer, rate=1, mode="all")
    [new] = inserted(newer)

    done = batches.cancel(newer, batch, actor="ben")

    assert (done.cancelled, done.left) == (2, 0)
    row = row_of(newer, new)
    assert (row.state, row.note) == ("skipped", f"replay {batch} cancelled by ben")
    assert row.finished_at is not None
    replayed(newer, rate=100, mode="all")
    finish(newer, new)
    assert outcomes(newer, new) == ["cancelled", "replayed", "succeeded"]


def test_cancelling_works_when_the_attempts_before_have_aged_out(
    journal: Journal, clock: FixedClock
) -> None:
    work = dispatched(journal, "work.free")
    finish(journal, work)
    was = row_of(journal, work)
    clock.advance(timedelta(days=31).total_seconds())
    age_out(journal, Keep.days(bodies=90, attempts=30))
    assert outcomes(journal, work) == []
    batch, _ = replayed(journal, rate=1, mode="all")

    done = batches.cancel(journal, batch, actor="ben")

    assert (done.cancelled, done.left) == (1, 0)
    row = row_of(journal, work)
    assert (row.state, row.note, row.run) == (was.state, was.note, was.run)
    assert row.finished_at == was.finished_at


def test_what_was_brought_forward_is_due_again_when_it_was(
    journal: Journal, clock: FixedClock
) -> None:
    work = dispatched(journal, "work.free")
    until = clock.at + timedelta(hours=1)
    finish(journal, work, Wait(until, "waiting", check_seconds=600))
    was = row_of(journal, work)
    batch, _ = replayed(journal, rate=1)
    assert row_of(journal, work).due_at == clock.at

    done = batches.cancel(journal, batch, actor="ben")

    assert (done.cancelled, done.left) == (1, 0)
    row = row_of(journal, work)
    assert (row.state, row.note, row.due_at) == ("pending", "waiting", was.due_at)
    assert outcomes(journal, work) == ["waiting"]


def test_what_was_begun_and_handed_back_is_not_cancelled(journal: Journal) -> None:
    work = dead(journal)
    batch, _ = replayed(journal, rate=1)
    dispatches.release(journal, claimed(journal, work))

    done = batches.cancel(journal, batch, actor="ben")

    assert (done.cancelled, done.left) == (0, 1)
    assert row_of(journal, work).state == "pending"


def test_cancelling_twice_says_the_same(journal: Journal) -> None:
    dead(journal)
    batch, _ = replayed(journal, rate=1)

    assert batches.cancel(journal, batch, actor="ben") == batches.cancel(
        journal, batch, actor="ben"
    )


def test_an_error_in_the_middle_names_the_batch_that_can_be_cancelled(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "A_TRANSACTION", 1)
    work = [dead(journal) for _ in range(2)]
    commits = []

    def away(_connection: Connection) -> None:
        commits.append(1)
        if len(commits) == 2:
            raise OperationalError("COMMIT", {}, Exception("the database is away"))

    event.listen(journal.engine, "commit", away)
    with pytest.raises(JournalUnavailableError, match="the first 1 of 2 events") as told:
        replayed(journal, rate=1)
    event.remove(journal.engine, "commit", away)

    batch = str(told.value).split("--cancel ")[1].split()[0]
    assert batches.cancel(journal, batch, actor="ben").cancelled == 1
    assert {row_of(journal, each).state for each in work} == {"dead"}
