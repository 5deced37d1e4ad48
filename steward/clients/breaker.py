"""A breaker a channel: what gives no answer is left in peace, and holds no worker's threads.

A message to Slack that hangs takes a thread of the worker for ten seconds; a hundred of them would
take all, and a promotion would wait behind them. So after the first that ended without an answer,
or with the wish to wait, the others are put off unsent until one has got through.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from steward.errors import TransientError
from steward.ports import Channel, Notification

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0


class Breaker:
    """Stands before one channel's clients, in all threads of a process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0
        self._is_trying = False
        self._reason = ""

    def send(self, channel: Channel, notification: Notification) -> str:
        """Send by the channel, or raise at once while it should be left in peace.

        Raises:
            TransientError: what the channel said; or that nothing was sent, and until when.

        """
        is_probe = self._enter()
        try:
            answer = channel.send(notification)
        except TransientError as error:
            self._failed(error, is_probe=is_probe)
            raise
        except BaseException:
            self._reset()  # it did answer: this message is wrong, not the channel
            raise
        self._reset()
        return answer

    def _enter(self) -> bool:
        """One may try when the pause is over; until it knows, the others are put off.

        Returns whether this is the one.
        """
        with self._lock:
            if self._failures == 0:
                return False
            left = self._open_until - self._clock()
            if left > 0 or self._is_trying:
                raise TransientError(
                    f"not sent, as the one before: {self._reason}",
                    retry_after_seconds=max(left, FIRST_PAUSE_SECONDS),
                    is_certain=True,
                )
            self._is_trying = True
            return True

    def _failed(self, error: TransientError, *, is_probe: bool) -> None:
        with self._lock:
            pause = min(FIRST_PAUSE_SECONDS * 2**self._failures, LONGEST_PAUSE_SECONDS)
            until = self._clock() + max(pause, error.retry_after_seconds or 0.0)
            # Many may have begun before the first failed: together they are one failure.
            if is_probe or self._failures == 0:
                self._failures += 1
            if is_probe:
                self._is_trying = False
            self._open_until = max(self._open_until, until)
            self._reason = str(error)

    def _reset(self) -> None:
        with self._lock:
            self._failures, self._open_until, self._is_trying = 0, 0.0, False


@dataclass(frozen=True, slots=True)
class GuardedChannel:
    """ports.Channel behind a breaker."""

    channel: Channel
    breaker: Breaker

    def send(self, notification: Notification) -> str:
        return self.breaker.send(self.channel, notification)
