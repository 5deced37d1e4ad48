"""What a registry read found, held against what was known before it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from steward.events import ModelRef


@dataclass(frozen=True, slots=True)
class Reading:
    """One facet as a registry read found it, with the revision noted *before* the read.

    ``subject`` is a version, or "" for the model itself. ``value`` None means confirmed absent.
    Recorded only where the revision is unchanged; a difference becomes an event.
    """

    model: ModelRef
    subject: str
    facet: str
    value: Any
    revision: int
    read_at: datetime


class Look(Protocol):
    """Revisions of one model's facets and the time, noted before asking the registry."""

    @property
    def read_at(self) -> datetime:
        """When the look began: since when the registry vouches for what it then says."""
        ...

    def reading(self, subject: str, facet: str, value: Any) -> Reading:
        """What the registry then said of one facet."""
        ...

    def value(self, subject: str, facet: str) -> Any:
        """What was known of a facet when the look began; None if nothing was."""
        ...
