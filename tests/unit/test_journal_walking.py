# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
"""What matches seldom is looked for in parts, and a page says where the next one goes on."""

from datetime import timedelta

import pytest

from steward.journal.filters import EventFilter
from steward.journal.store import Journal
from steward.journal.walking import newest
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    fresh_journal,
    happened,
    journal,
    journal_url,
    migrated_journal_file,
)


@pytest.mark.parametrize("part", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("seconds", [-1.0, 60.0])
def test_parts_of_any_size_find_each_event_once(
    journal: Journal, part: int, seconds: float
) -> None:
    for number in range(17):
        happened(journal, "work.free" if number % 4 else "rare", version=str(number))

    assert walked(journal, EventFilter(text="rare"), part, seconds) == ["16", "12", "8", "4", "0"]
    assert walked(journal, EventFilter(text="nowhere"), part, seconds) == []
    assert walked(journal, EventFilter(type="rare", source="*"), part, seconds)[0] == "16"


def test_a_look_that_took_its_time_answers_with_what_it_found(journal: Journal) -> None:
    for number in range(10):
        happened(journal, "rare" if number in (0, 9) else "work.free", version=str(number))

    with journal.read() as connection:
        rows, following = newest(
            connection,
            EventFilter(text="rare"),
            before=None,
            limit=5,
            part=4,
            look_seconds=-1.0,
        )

    assert [row.version for row in rows] == ["9"]
    assert following is not None


def test_times_between_which_nothing_was_recorded_have_no_events(
    journal: Journal, clock: FixedClock
) -> None:
    happened(journal, "early", version="1")
    noon = clock.now() + timedelta(hours=1)

    assert walked(journal, EventFilter(since=noon), 4, 60.0) == []
    assert walked(journal, EventFilter(until=noon - timedelta(days=1)), 4, 60.0) == []
    assert walked(journal, EventFilter(until=noon), 4, 60.0) == ["1"]


def walked(journal: Journal, which: EventFilter, part: int, seconds: float) -> list[str | None]:
    """The versions on all pages, in their order."""
    found: list[str | None] = []
    before = None
    while True:
        with journal.read() as connection:
            rows, before = newest(
                connection, which, before=before, limit=2, part=part, look_seconds=seconds
            )
        found += [row.version for row in rows]
        if before is None:
            return found
