"""What the door asks of a sender's module."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from steward.journal.deliveries import News


@dataclass(frozen=True, slots=True)
class Letter:
    """A delivery whose signature was accepted, not yet read: who sent it, its id, and when."""

    sender: str
    delivery_id: str
    sent_at: datetime


class Sender(Protocol):
    """One system that delivers."""

    def verify(self, headers: Mapping[bytes, bytes], body: bytes) -> Letter:
        """Accept the signature. DeliveryRejected (401) whatever is wrong with it."""
        ...

    def parse(self, letter: Letter, body: bytes, registry: str) -> tuple[News | None, datetime]:
        """What it says, and when it was said; None for a test delivery.

        Raises:
            DeliveryRejected: 400 not JSON, 422 JSON of the wrong form.

        """
        ...
