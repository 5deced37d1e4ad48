"""What a replica holds: one loaded version (Slot) and the frozen table of them (Table).

A request reads the table once and then keeps its slot, so replacing the table is the whole swap:
no request ever meets half of one, and the old slot lives until its last request is answered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from steward.errors import StewardError


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered to one request, as it goes on the wire."""

    body: str
    status: int
    media_type: str


Score = Callable[[bytes, str], Answer]
"""(body, content type) -> answer; raises ScoringError."""


class ScoringError(StewardError):
    """A request could not be scored; ``status`` and ``code`` are MLflow's for that case."""

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Slot:
    """One version in memory, warm. ``key`` names its files: a version number can be used again."""

    version: str
    key: str
    score: Score
    load_seconds: float = 0.0
    warmed_by: str = "nothing"


@dataclass(frozen=True, slots=True)
class Table:
    """The slots of a replica, and the generation that brought ``champion`` here."""

    champion: Slot | None = None
    previous: Slot | None = None
    prepared: Slot | None = None
    generation: int = 0
    since: datetime | None = None

    def held(self, version: str) -> Slot | None:
        """The slot of a version; the prepared one first, because its files were read last."""
        for slot in (self.prepared, self.champion, self.previous):
            if slot is not None and slot.version == version:
                return slot
        return None

    def keys(self) -> frozenset[str]:
        """The keys of all slots."""
        slots = (self.champion, self.previous, self.prepared)
        return frozenset(slot.key for slot in slots if slot is not None)

    def versions(self) -> frozenset[str]:
        """The versions of all slots."""
        slots = (self.champion, self.previous, self.prepared)
        return frozenset(slot.version for slot in slots if slot is not None)

    def serving(self, slot: Slot, generation: int, since: datetime) -> "Table":
        """The table after ``slot`` became champion: the old one stays warm as ``previous``."""
        is_new = slot is not self.champion
        return Table(
            champion=slot,
            previous=self.champion if is_new else self.previous,
            prepared=None if slot is self.prepared else self.prepared,
            generation=generation,
            since=since if is_new else self.since,
        )
