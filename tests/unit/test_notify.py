"""The handler that tells people: once a run, per channel, and never in mode observe."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from handlers.notify import notify
from steward.errors import TransientError
from steward.events import Event, EventType, ModelRef
from steward.policy import ChannelSpec, Mode, Policy
from steward.ports import Done, Services, Skipped, Work
from tests.fakes import (
    FakeChannel,
    FakeFleet,
    FakeHistory,
    FakeLedger,
    FakeRegistry,
    FixedClock,
)

MODEL = ModelRef("fraud")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def channel() -> FakeChannel:
    return FakeChannel()


@pytest.fixture
def services(clock: FixedClock, channel: FakeChannel) -> Services:
    spec = ChannelSpec("team-slack", "slack")
    policy = Policy.model_validate(
        {
            "name": "fraud",
            "mode": "act",
            "notify": [
                {"events": [EventType.PROMOTED, EventType.HELD], "to": ["team-slack"]},
                {"events": [EventType.ROLLED_BACK], "to": ["pager"]},
            ],
        }
    )
    return Services(
        registry=FakeRegistry(clock),
        fleet=FakeFleet(),
        ledger=FakeLedger(),
        history=FakeHistory(clock),
        clock=clock,
        policy=policy,
        mode=Mode.ACT,
        work=Work("dispatch-1", "notify", target="team-slack"),
        channel=lambda name: (replace(spec, name=name), channel),
        public_url="https://steward.example.com",
    )


def recorded(services: Services, *newest_first: Event) -> Event:
    """Journal a chain and return its newest event."""
    assert isinstance(services.history, FakeHistory)
    services.history.events.update({event.id: event for event in newest_first})
    return newest_first[0]


def event(event_type: str, event_id: str = "e-1", **changes: Any) -> Event:
    fields = {
        "source": "steward",
        "model": MODEL,
        "version": "7",
        "before": None,
        "after": None,
        "data": {"verdict": "held", "code": "below_margin"},
        "occurred_at": AT,
        "recorded_at": AT,
    }
    return Event(id=event_id, type=event_type, **{**fields, **changes})


def test_a_held_version_is_told(services: Services, channel: FakeChannel) -> None:
    held = recorded(services, event(EventType.HELD))

    outcome = notify(held, services)

    assert outcome == Done(note="sent by slack: ok")
    assert [sent.title for sent in channel.sent] == ["fraud version 7 held: not better by enough"]
    assert channel.sent[0].key == "notify/dispatch-1/1"


def test_mode_observe_tells_nobody(services: Services, channel: FakeChannel) -> None:
    held = recorded(services, event(EventType.HELD))

    outcome = notify(held, replace(services, mode=Mode.OBSERVE))

    assert isinstance(outcome, Skipped)
    assert channel.sent == []


def test_a_second_try_of_what_was_sent_sends_nothing(
    services: Services, channel: FakeChannel
) -> None:
    held = recorded(services, event(EventType.HELD))
    notify(held, services)

    outcome = notify(held, services)

    assert outcome == Skipped("already sent")
    assert len(channel.sent) == 1


def test_a_replay_sends_again_under_its_own_key(services: Services, channel: FakeChannel) -> None:
    held = recorded(services, event(EventType.HELD))
    notify(held, services)

    notify(held, replace(services, work=replace(services.work, run=2)))

    assert [sent.key for sent in channel.sent] == ["notify/dispatch-1/1", "notify/dispatch-1/2"]


def test_what_may_have_been_sent_is_sent_again_and_says_so(
    services: Services, channel: FakeChannel
) -> None:
    held = recorded(services, event(EventType.HELD))
    channel.error = TransientError("Slack cannot be reached")
    with pytest.raises(TransientError):
        notify(held, services)

    channel.error = None
    notify(held, services)

    sent = channel.sent[0]
    assert "(possibly sent before)" in sent.text
    assert "(possibly sent before)" in sent.html
    assert "(possibly sent before)" in str(sent.slack_blocks)


def test_what_was_certainly_refused_is_sent_as_new(
    services: Services, channel: FakeChannel
) -> None:
    held = recorded(services, event(EventType.HELD))
    channel.error = TransientError("Slack asks to wait", is_certain=True)
    with pytest.raises(TransientError):
        notify(held, services)

    channel.error = None
    notify(held, services)

    assert "possibly sent before" not in channel.sent[0].text


def test_a_refusal_after_a_silence_leaves_open_what_the_silence_meant(
    services: Services, channel: FakeChannel
) -> None:
    held = recorded(services, event(EventType.HELD))
    for is_certain in (False, True):
        channel.error = TransientError("no", is_certain=is_certain)
        with pytest.raises(TransientError):
            notify(held, services)

    channel.error = None
    notify(held, services)

    assert "(possibly sent before)" in channel.sent[0].text


def test_an_event_with_nothing_to_tell_is_skipped(services: Services, channel: FakeChannel) -> None:
    nothing = recorded(services, event("somebody.sneezed", model=None, version=None, data={}))

    outcome = notify(nothing, services)

    assert outcome == Skipped("there is nothing to tell")
    assert channel.sent == []


def rollout_of(event_type: str, services: Services) -> Event:
    change = event(event_type, "e-1", data={}, after="6")
    rollout = event(EventType.ROLLOUT_FINISHED, "e-2", data={"replicas": []}, caused_by="e-1")
    return recorded(services, rollout, change)


def test_a_rollout_is_told_to_who_asks_for_what_caused_it(
    services: Services, channel: FakeChannel
) -> None:
    rollout = rollout_of(EventType.PROMOTED, services)

    notify(rollout, services)

    assert channel.sent[0].title == "fraud version 7 promoted to Production"


def test_a_rollout_is_not_told_to_who_asks_for_other_causes(
    services: Services, channel: FakeChannel
) -> None:
    rollout = rollout_of(EventType.ROLLED_BACK, services)

    outcome = notify(rollout, services)

    assert outcome == Skipped("team-slack does not ask for model_version.rolled_back")
    assert channel.sent == []
