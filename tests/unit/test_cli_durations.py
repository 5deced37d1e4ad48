"""Durations and times as people write them."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from steward.cli.durations import duration, moment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86_400), ("1.5h", 5400), (" 3M ", 180)],
)
def test_a_duration_has_a_number_and_a_unit(text: str, seconds: int):
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "15", "m", "-3m", "2x", "1h30m", "999999d", "nan s"])
def test_anything_else_is_a_usage_error_that_says_what_is_expected(text: str):
    with pytest.raises(typer.BadParameter, match="write 90s, 15m, 2h or 1d"):
        duration(text)


def test_a_time_is_how_long_ago():
    assert abs(datetime.now(UTC) - timedelta(hours=2) - moment("2h")) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "text", ["2026-07-01T14:30:00", "2026-07-01T14:30:00Z", "2026-07-01T16:30:00+02:00"]
)
def test_a_time_is_iso_8601_in_utc_unless_it_says_otherwise(text: str):
    assert moment(text) == datetime(2026, 7, 1, 14, 30, tzinfo=UTC)


def test_a_time_that_is_none_says_what_is_expected():
    with pytest.raises(typer.BadParameter, match="'yesterday' is no time"):
        moment("yesterday")
