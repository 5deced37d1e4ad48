"""What is about to be done, and was done, to the outside world."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from steward.events import ModelRef


@dataclass(frozen=True, slots=True)
class Intent:
    """A registry write about to be made: the facet it will change and the value it will have.

    Facets: ``stage``, ``tag:<key>`` (subject: the version), ``alias:<alias>`` (subject: ""), whose
    value is the version, or None when it is deleted.
    """

    model: ModelRef
    subject: str
    facet: str
    value: Any


class Ledger(Protocol):
    """Intents and effects: what is about to be done, and was done, to the outside world."""

    def intend(self, intents: Sequence[Intent]) -> None:
        """Commit what this dispatch is about to write, before it writes it."""
        ...

    def begun(self) -> Sequence[tuple[Intent, datetime]]:
        """What this dispatch intended, and when, before it stopped short of its end."""
        ...

    def times_intended(self, intent: Intent, *, since: datetime) -> int:
        """In how many other dispatches of this handler the same was intended since then."""
        ...

    def begin_effect(self, key: str, kind: str, request: Mapping[str, Any]) -> str:
        """Commit that an effect is about to happen.

        Returns ``"new"`` the first time, ``"done"`` if it stands already (skip it), ``"unknown"``
        if an earlier try began it and nobody knows whether it happened.
        """
        ...

    def use_holdout(self, model: ModelRef, version: str, sha256: str) -> int:
        """Commit that a version is decided on by these rows; how many versions of it were so far.

        The same version counts once.
        """
        ...

    def refuse_effect(self, key: str, answer: str) -> None:
        """Commit that it certainly did not happen: the next try of it is ``"new"``."""
        ...

    def finish_effect(self, key: str, answer: str) -> None:
        """Commit that it happened."""
        ...
