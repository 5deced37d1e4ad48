"""What the journal knows that the registry does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from steward.events import Event, ModelRef
from steward.ports.readings import Look


@dataclass(frozen=True, slots=True)
class Desired:
    """What a model's replicas should serve; ``generation`` only grows."""

    model: ModelRef
    version: str | None
    generation: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a version stands: the decision, its reasons, and the event that recorded it.

    ``verdict``: waiting, held, rejected, awaiting_approval, promoted, rolled_back.
    ``code`` is the machine-readable first reason (``below_margin``, ``incomplete`` ...).
    ``receipt``: the hash of the decision's receipt, if it has one.
    """

    verdict: str
    reasons: tuple[str, ...] = ()
    code: str = ""
    event_id: str | None = None
    policy: str | None = None
    at: datetime | None = None
    receipt: str | None = None


class History(Protocol):
    """What the journal knows that the registry does not."""

    def look(self, model: ModelRef) -> Look:
        """Note the revisions of a model's facets, before reading the registry."""
        ...

    def verdict(self, model: ModelRef, version: str) -> Verdict | None:
        """The standing verdict; None for a version Steward never judged (history)."""
        ...

    def is_decided(self, model: ModelRef, version: str) -> bool:
        """Whether anything was decided on it yet, by Steward or by who made it Production."""
        ...

    def under_judgement(self, model: ModelRef) -> frozenset[str]:
        """Versions that something may still make Production: waiting, held, awaiting approval."""
        ...

    def rolled_back_from(self, model: ModelRef) -> frozenset[str]:
        """Versions that Production was rolled back from."""
        ...

    def rejected_by_person(self, model: ModelRef) -> frozenset[str]:
        """Versions that a person rejected."""
        ...

    def said(self, model: ModelRef, version: str) -> list[Event]:
        """The approval.* and promoted events of this very version, oldest first.

        Of a model that was deleted and created again none of the time before.
        """
        ...

    def champions(self, model: ModelRef) -> list[str]:
        """Versions that were Production, latest first, with repeats, the present one first."""
        ...

    def changes(self, model: ModelRef, *, since: datetime) -> list[Event]:
        """The changes of the champion, promotions and rollbacks recorded since, oldest first."""
        ...

    def numbers(self, model: ModelRef) -> Mapping[str, str]:
        """Version to the semantic version that its latest promotion gave it."""
        ...

    def chain(self, event_id: str) -> list[Event]:
        """The event and what it came from, newest first, up to the root."""
        ...

    def caused(self, event_id: str) -> list[Event]:
        """What came of the event so far, oldest first."""
        ...

    def desired(self, model: ModelRef) -> Desired | None:
        """What the model's replicas should serve now."""
        ...

    def next_generation(self, model: ModelRef, version: str | None, cause: Event) -> Desired:
        """Commit a new desired state for a model, and ``rollout.started``.

        Returns the standing one unchanged when this dispatch already committed it.
        """
        ...

    def paused(self, model: ModelRef) -> str | None:
        """Who paused automation of this model (or all) and why, as a sentence; None if nobody."""
        ...
