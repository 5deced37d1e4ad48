"""Observed state under any interleaving of changes, webhooks and pollers."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from steward.journal.schema import installation, observed
from steward.journal.store import Journal
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    FreshJournal,
    events_in,
    fresh_journal,
    migrated_journal_file,
    open_at,
    rows_of,
)
from tests.unit.observed_world import EVERYDAY, FIRST, POLLS, POST, RARE, Step, World

__all__ = ["fresh_journal", "migrated_journal_file"]
MOVED = ("alias", "a", "x", "2")
EXAMPLES = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@contextmanager
def world(fresh_journal: FreshJournal, *, is_prompt: bool = False) -> Iterator[World]:
    """A world whose journal begins now."""
    clock = FixedClock()
    with fresh_journal() as url:
        journal = open_at(url, clock)
        begin(journal, clock)
        try:
            yield World(journal, clock, is_prompt=is_prompt)
        finally:
            journal.close()


def begin(journal: Journal, clock: FixedClock) -> None:
    with journal.write() as transaction:
        transaction.connection.execute(
            update(installation).values(created_at=clock.now() - timedelta(seconds=1))
        )


@EXAMPLES
@given(st.lists(st.one_of(EVERYDAY, EVERYDAY, RARE, POST, POST, POLLS), max_size=40))
def test_after_quiet_polls_what_is_known_is_what_is(
    fresh_journal: FreshJournal, steps: list[Step]
) -> None:
    with world(fresh_journal) as w:
        w.run([*FIRST, *steps])

        w.settle()

        assert w.observed() == w.actual()


@EXAMPLES
@given(st.lists(st.one_of(EVERYDAY, EVERYDAY, RARE, POST, POLLS), max_size=40))
def test_everything_that_is_there_has_the_event_that_tells_of_it(
    fresh_journal: FreshJournal, steps: list[Step]
) -> None:
    with world(fresh_journal) as w:
        w.run([*FIRST, *steps])

        w.settle()

        events = {event.id: event for event in events_in(w.journal)}
        for row in rows_of(w.journal, observed):
            if row.value is None:
                continue
            event = events[row.event_id]
            came_with_it = event.type.endswith(".created") and row.facet != "exists"
            assert event.after == row.value or came_with_it


@EXAMPLES
@example([("poll", 0, ()), ("tag", "a", "1", "x", "q"), ("poll", 0, (0, 1)), MOVED])
@example([("poll", 0, ()), ("tag", "a", "1", "x", "q"), ("poll", 0, (0, 0, 0, 1)), MOVED])
@example([("poll", 0, (0, 2)), MOVED, ("poll", 1, ()), ("alias", "a", "x", "1")])
@given(st.lists(st.one_of(EVERYDAY, EVERYDAY, POLLS), max_size=40))
def test_with_prompt_webhooks_no_event_is_told_twice(
    fresh_journal: FreshJournal, steps: list[Step]
) -> None:
    with world(fresh_journal, is_prompt=True) as w:
        w.run([*FIRST, *steps])

        w.settle()

        told = w.told()
        kinds = ("model_version.created", "model_version_tag.set", "model_version_alias.created")
        extra = {
            change: count - w.changes[change]
            for change, count in told.items()
            if change.type in kinds and count > w.changes[change]
        }
        assert extra == {}


@EXAMPLES
@given(
    st.lists(EVERYDAY, max_size=15),
    st.lists(
        st.one_of(POLLS, POST, EVERYDAY.filter(lambda step: step[0] != "create")), max_size=15
    ),
)
def test_history_makes_no_event(
    fresh_journal: FreshJournal, before: list[Step], after: list[Step]
) -> None:
    with world(fresh_journal) as w:
        w.run(before)
        w.post.clear()  # nobody listened then
        w.changes.clear()
        w.clock.advance(60)
        begin(w.journal, w.clock)
        w.pollers[0].poll_once()

        assert events_in(w.journal) == []

        w.run(after)
        w.settle()
        assert events_in(w.journal, "model_version.created", "registered_model.created") == []
