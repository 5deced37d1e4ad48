# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
"""A batch of replays: spread over time, behind other work, and stopped before its end."""

from collections import Counter

import pytest

from steward.errors import NotFoundError
from steward.journal import batches, dispatches, sweeping
from steward.journal.store import Journal
from steward.ports import Hint
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    claimed,
    dispatched,
    events_in,
    finish,
    journal,
    journal_url,
    migrated_journal_file,
    outcomes,
    row_of,
)


def dead(journal: Journal) -> str:
    work = dispatched(journal, "work.told")
    dispatches.fail(journal, claimed(journal, work), "410 Gone", retry_in_seconds=None)
    return work


def replayed(journal: Journal, rate: float) -> tuple[str, list[Hint]]:
    batch, _, hints = batches.apply(
        journal,
        events_in(journal),
        handlers=None,
        mode="failed",
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
