"""A channel that gives no answer is left in peace; the first that gets through ends that."""

import pytest

from steward.clients.breaker import LONGEST_PAUSE_SECONDS, Breaker
from steward.errors import PermanentError, TransientError
from steward.ports import Channel, Notification
from tests.fakes import FakeChannel

MESSAGE = Notification(key="k", title="t", text="x", html="x", slack_blocks=())


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def breaker(seconds: Seconds) -> Breaker:
    return Breaker(seconds)


def away(**why: float) -> FakeChannel:
    channel = FakeChannel()
    channel.error = TransientError("Slack cannot be reached", **why)  # type: ignore[arg-type]
    return channel


def fails(breaker: Breaker, channel: Channel) -> TransientError:
    with pytest.raises(TransientError) as caught:
        breaker.send(channel, MESSAGE)
    return caught.value


def test_after_a_failure_nothing_is_sent_for_a_moment(breaker: Breaker, seconds: Seconds) -> None:
    fails(breaker, away())
    well = FakeChannel()

    error = fails(breaker, well)

    assert (well.sent, error.is_certain, error.retry_after_seconds) == ([], True, 1.0)
    assert "not sent, as the one before: Slack cannot be reached" in str(error)
    seconds.now += 1
    breaker.send(well, MESSAGE)
    breaker.send(well, MESSAGE)
    assert well.sent == [MESSAGE, MESSAGE]


def test_the_pause_grows_to_a_minute(breaker: Breaker, seconds: Seconds) -> None:
    pauses = []
    for _ in range(9):
        fails(breaker, away())
        pauses.append(fails(breaker, away()).retry_after_seconds or 0)
        seconds.now += pauses[-1]

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, LONGEST_PAUSE_SECONDS]


def test_the_pause_that_a_channel_asks_for_is_kept_by_all(breaker: Breaker) -> None:
    fails(breaker, away(retry_after_seconds=30))

    assert fails(breaker, FakeChannel()).retry_after_seconds == 30


def test_while_one_tries_the_others_wait(breaker: Breaker, seconds: Seconds) -> None:
    fails(breaker, away())
    seconds.now += 1
    others: list[TransientError] = []

    class Slow:
        def send(self, notification: Notification) -> str:
            others.append(fails(breaker, FakeChannel()))
            return "ok"

    breaker.send(Slow(), MESSAGE)

    assert [other.retry_after_seconds for other in others] == [1.0]


def test_a_refusal_of_one_message_is_an_answer(breaker: Breaker, seconds: Seconds) -> None:
    fails(breaker, away())
    seconds.now += 1
    refusing = FakeChannel()
    refusing.error = PermanentError("no such channel")
    with pytest.raises(PermanentError):
        breaker.send(refusing, MESSAGE)

    assert breaker.send(FakeChannel(), MESSAGE) == "ok"


def test_a_straggler_that_fails_late_lets_no_second_one_try(
    breaker: Breaker, seconds: Seconds
) -> None:
    class Straggler(FakeChannel):
        """While it hangs, another fails, the pause passes, and a probe is on its way."""

        def send(self, notification: Notification) -> str:
            fails(breaker, away())
            seconds.now += 1
            assert breaker._enter()
            raise TransientError("at last: no answer")

    fails(breaker, Straggler())

    well = FakeChannel()
    seconds.now += LONGEST_PAUSE_SECONDS
    fails(breaker, well)
    assert well.sent == []  # the probe has not come back
