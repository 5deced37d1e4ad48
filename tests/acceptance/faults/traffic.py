"""Signed deliveries that keep coming while a fault lasts, and what each of them was answered."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import httpx

from tests.acceptance.deliveries import created, deliver
from tests.acceptance.faults.site import SECRET, Site


@dataclass(frozen=True, slots=True)
class Said:
    """One delivery's answer: ``status`` 0 is none at all; ``at`` is of the monotonic clock."""

    delivery_id: str
    version: str
    status: int
    seconds: float
    at: float
    event_id: str | None = None


@dataclass
class Traffic:
    """Delivers versions 1, 2, ... of a model, by some senders at once, until the block ends.

    The versions are not in MLflow: their validation skips them, and the journal is what is tried.
    """

    site: Site
    model: str
    senders: int = 3
    every_seconds: float = 0.02
    said: list[Said] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[Self]:
        threads = [threading.Thread(target=self._send, daemon=True) for _ in range(self.senders)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(30)

    def of(self, *statuses: int) -> list[Said]:
        """The answers of these statuses so far."""
        return [each for each in list(self.said) if each.status in statuses]

    def since(self, moment: float) -> list[Said]:
        """The answers to what was sent after a moment of the monotonic clock."""
        return [each for each in list(self.said) if each.at - each.seconds >= moment]

    @property
    def acknowledged(self) -> dict[str, str | None]:
        """Delivery id -> event id of everything that was answered 202."""
        return {each.delivery_id: each.event_id for each in self.of(202)}

    @property
    def longest_seconds(self) -> float:
        """How long the slowest answer took."""
        return max(each.seconds for each in list(self.said))

    def send_again(self) -> None:
        """Deliver what was not acknowledged once more, as MLflow does; each must be taken now."""
        missed = [each for each in self.said if each.status != httpx.codes.ACCEPTED]
        for each in missed:
            again = self._deliver(each.version, each.delivery_id)
            assert again.status == httpx.codes.ACCEPTED, again
            self.said.append(again)

    def _send(self) -> None:
        while not self._stop.wait(self.every_seconds):
            version = str(next(self._numbers))
            self.said.append(self._deliver(version, f"{self.model}-{version}"))

    def _deliver(self, version: str, delivery_id: str) -> Said:
        began, status, event_id = time.monotonic(), 0, None
        try:
            answer = deliver(
                self.site, created(self.model, version), secret=SECRET, delivery_id=delivery_id
            )
        except httpx.TransportError:
            pass
        else:
            status = answer.status_code
            event_id = answer.json().get("event_id") if answer.is_success else None
        ended = time.monotonic()
        return Said(delivery_id, version, status, ended - began, ended, event_id)
