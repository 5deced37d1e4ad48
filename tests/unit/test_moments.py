"""Points in time as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from steward.moments import moment_of

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2d", NOW - timedelta(days=2)),
        ("2d ago", NOW - timedelta(days=2)),
        ("90S AGO", NOW - timedelta(seconds=90)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T14:30:00Z", datetime(2026, 3, 1, 14, 30, tzinfo=UTC)),
        ("2026-03-01T14:30:00+02:00", datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_how_long_ago_or_iso_8601_in_utc_unless_it_says(text: str, expected: datetime):
    assert moment_of(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2 fortnights", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_time_is_told_what_one_is(text: str):
    with pytest.raises(ValueError, match=r"write how long ago .* or ISO 8601"):
        moment_of(text, NOW)
