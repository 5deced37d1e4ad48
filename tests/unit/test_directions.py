"""Production goes back, or forward to a version that was registered later."""

from typing import Any

import pytest

from handlers.messages import compose
from handlers.wording import Links
from steward.events import EventType, direction
from tests.unit.world import World
from webhook_receiver.api.sections import sections_of


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [("7", "6", "back"), ("6", "7", "forward"), ("9", "10", "forward"), (None, "3", "back")],
)
def test_the_way_is_told_by_the_numbers(before: Any, after: str, expected: str) -> None:
    assert direction(before, after) == expected


def test_a_rollback_to_a_newer_version_is_told_as_what_it_was() -> None:
    event = World().event(EventType.ROLLED_BACK, "5", before="5", after="6", data={})

    message = compose(event, (event,), Links())
    decided = sections_of("6", [event], [])["decided"]

    assert message is not None
    assert "went forward from version 5 to version 6" in message.lead
    assert decided["reasons"] == ["Production went forward to it from version 5"]
