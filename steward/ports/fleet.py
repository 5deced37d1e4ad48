"""The replicas that serve models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from steward.events import ModelRef


@dataclass(frozen=True, slots=True)
class Replica:
    """One live serving process, as its last heartbeat told: what it serves, at which generation."""

    id: str
    url: str
    model: ModelRef
    version: str | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class ReplicaAnswer:
    """What one replica answered to prepare or reload; ``version`` is what it really serves.

    ``ok`` is True only when it did what was asked. ``refused`` is True when the replica itself said
    it cannot (a model that does not load); False when it could not be reached in time.
    """

    replica: Replica
    ok: bool
    version: str | None = None
    generation: int | None = None
    seconds: float = 0.0
    error: str | None = None
    refused: bool = False


class Fleet(Protocol):
    """The replicas that serve a model, told concurrently, each with a time limit."""

    def replicas(self, model: ModelRef) -> list[Replica]:
        """Those with a heartbeat in the last 15 seconds."""
        ...

    def lost(self, model: ModelRef) -> list[str]:
        """Ids of those that beat in the last 2 minutes, fell silent, and said no goodbye."""
        ...

    def prepare(
        self, replicas: Sequence[Replica], version: str, generation: int, *, timeout_seconds: float
    ) -> list[ReplicaAnswer]:
        """Ask each to load and warm up a version beside what it serves."""
        ...

    def reload(
        self, replicas: Sequence[Replica], version: str, generation: int, *, timeout_seconds: float
    ) -> list[ReplicaAnswer]:
        """Ask each to serve a version, and check what it says it serves."""
        ...
