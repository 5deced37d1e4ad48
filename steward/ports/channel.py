"""How people are told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Notification:
    """What people are told, in every form a channel may need.

    ``key`` is stable for one dispatch and run (an email's Message-ID derives from it);
    ``facts`` are label and value pairs, ``links`` label and URL pairs; ``severity`` colours it.
    """

    key: str
    title: str
    text: str
    html: str
    slack_blocks: Sequence[Mapping[str, Any]]
    severity: Literal["info", "success", "warning", "failure"] = "info"


class Channel(Protocol):
    """One way of telling people. Raises TransientError or PermanentError."""

    def send(self, notification: Notification) -> str:
        """Send it; returns what the other side answered, for the ledger."""
        ...
