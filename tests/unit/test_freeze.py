"""Freeze windows: when they are open, when they end, and what waits for that."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.promote import promote
from steward.events import EventType
from steward.policy import Mode
from steward.policy.lifecycle import Freeze, frozen_until
from steward.ports import Done, Wait
from tests.unit.world import World, make_policy

WEEKEND = Freeze(cron="0 17 * * FRI", hours=64, timezone="Europe/Berlin")
ALWAYS = {"freeze": [{"cron": "0 0 * * *", "hours": 24}]}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-03-06T16:59:59+01:00", None),
        ("2026-03-06T17:00:00+01:00", "2026-03-09T09:00:00+01:00"),
        ("2026-03-06T17:00:30+01:00", "2026-03-09T09:00:00+01:00"),
        ("2026-03-09T08:59:59+01:00", "2026-03-09T09:00:00+01:00"),
        ("2026-03-09T09:00:00+01:00", None),
        # Summer time begins on that weekend: 64 hours are 64 hours.
        ("2026-03-29T12:00:00+02:00", "2026-03-30T10:00:00+02:00"),
    ],
)
def test_a_window_is_open_from_its_start_until_its_end(now: str, end: str | None):
    assert frozen_until([WEEKEND], at(now)) == (at(end) if end else None)


def test_windows_that_follow_on_one_another_are_one_freeze():
    nights = Freeze(cron="0 9 * * MON", hours=3, timezone="Europe/Berlin")

    until = frozen_until([WEEKEND, nights], at("2026-03-07T12:00:00+01:00"))

    assert until == at("2026-03-09T12:00:00+01:00")


def test_a_freeze_without_an_end_is_looked_at_again_within_a_year():
    now = at("2026-03-07T12:00:00+00:00")

    assert frozen_until([Freeze(cron="0 0 * * *", hours=24)], now) == now + timedelta(days=366)


def test_windows_of_minutes_that_never_end_are_not_followed_for_ever():
    now = at("2026-03-07T12:00:00+00:00")

    until = frozen_until([Freeze(cron="* * * * *", hours=0.1)], now)

    assert until is not None
    assert timedelta(hours=1) < until - now < timedelta(days=366)


def test_the_same_moment_is_another_time_of_day_in_another_zone():
    now = at("2026-03-06T16:30:00+00:00")
    here, there = (Freeze(cron="0 17 * * *", hours=1, timezone=z) for z in ("Europe/Berlin", "UTC"))

    assert frozen_until([here], now) == at("2026-03-06T17:00:00+00:00")
    assert frozen_until([there], now) is None


def test_a_window_that_ended_long_ago_freezes_nothing():
    assert frozen_until([Freeze(cron="0 0 29 2 *", hours=24)], at("2026-03-07T12:00:00Z")) is None


@given(
    minutes=st.integers(0, 20 * 366 * 24 * 60),
    hour=st.integers(0, 23),
    day=st.integers(0, 6),
    hours=st.floats(0.1, 200),
)
def test_the_end_is_later_and_not_frozen(minutes: int, hour: int, day: int, hours: float):
    now = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    windows = [Freeze(cron=f"0 {hour} * * {day}", hours=hours, timezone="Europe/Berlin")]

    until = frozen_until(windows, now)

    assert until is None or until > now
    if until and until - now < timedelta(days=366):
        assert frozen_until(windows, until) is None
        inside = [now + (until - now) * share for share in (0.0, 0.5, 0.99)]
        assert all(frozen_until(windows, each) == until for each in inside)


def challenged(**freeze: object) -> tuple[World, str]:
    """Production has 0.9, the candidate 0.95."""
    w = World(make_policy(**freeze))
    w.register_champion(0.9)
    return w, w.register(0.95).version


def test_what_is_decided_in_a_freeze_waits_for_its_end():
    w, candidate = challenged(**ALWAYS)

    outcome = w.run(promote, w.event(EventType.VALIDATED, candidate))

    assert isinstance(outcome, Wait)
    assert outcome.reason.startswith("frozen until 20")
    assert "would be promoted: " in outcome.reason
    assert outcome.then == ("annotate",)
    assert w.stages() == {"1": "Production"}


def test_at_the_end_of_the_freeze_it_is_promoted():
    minute = {"cron": f"{World().clock.now().minute} * * * *", "hours": 0.5}
    w, candidate = challenged(freeze=[minute])
    event = w.event(EventType.VALIDATED, candidate)
    waited = w.run(promote, event)
    assert isinstance(waited, Wait)

    w.clock.advance((waited.until - w.clock.now()).total_seconds())

    assert isinstance(w.run(promote, event), Done)
    assert w.stages()["2"] == "Production"


def test_what_does_not_beat_production_is_held_at_once():
    w = World(make_policy(**ALWAYS))
    w.register_champion(0.9)
    worse = w.register(0.88).version

    outcome = w.run(promote, w.event(EventType.VALIDATED, worse))

    assert isinstance(outcome, Done)


def test_what_a_person_asked_for_is_not_frozen():
    w, candidate = challenged(**ALWAYS)
    asked = w.event("promotion.requested", candidate)

    outcome = w.run(promote, w.event(EventType.VALIDATED, candidate, caused_by=asked.id))

    assert isinstance(outcome, Done)
    assert w.stages()["2"] == "Production"


def test_a_mode_that_promotes_nothing_does_not_wait():
    w, candidate = challenged(**ALWAYS)
    w.mode = Mode.RECOMMEND

    assert isinstance(w.run(promote, w.event(EventType.VALIDATED, candidate)), Done)
