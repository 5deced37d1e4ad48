"""In-memory implementations of every port, for tests of handlers and decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from handlers.approvals import WORDS
from steward.events import Event, EventType, ModelRef
from steward.ports import (
    Desired,
    Intent,
    Notification,
    Reading,
    Replica,
    ReplicaAnswer,
    Verdict,
)
from tests.fake_registry import FakeRegistry

__all__ = [
    "FakeChannel",
    "FakeFleet",
    "FakeHistory",
    "FakeLedger",
    "FakeLook",
    "FakeRegistry",
    "FixedClock",
]


CHAMPION_CHANGES = (EventType.CHAMPION_CHANGED, EventType.PROMOTED, EventType.ROLLED_BACK)


class FixedClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, at: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> datetime:
        """Go on, and return the new time."""
        self.at += timedelta(seconds=seconds)
        return self.at


class FakeFleet:
    """Replicas that do as they are told, unless ``refuse`` or ``lose`` says otherwise.

    ``calls`` lists (what, replica id, version, generation) in order.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str, int]] = []
        self._replicas: dict[str, Replica] = {}
        self._refusals: dict[tuple[str, str], str] = {}
        self._lost: set[str] = set()
        self.silent: list[str] = []

    def lost(self, model: ModelRef) -> list[str]:
        """Those that fell silent; ``silent`` says which."""
        return list(self.silent)

    def add(self, model: ModelRef, version: str | None = None, generation: int = 0) -> Replica:
        """One more live replica of the model."""
        name = f"replica-{len(self._replicas) + 1}"
        replica = Replica(name, f"http://{name}", model, version, generation)
        self._replicas[name] = replica
        return replica

    def refuse(self, replica: Replica, version: str, error: str) -> None:
        """This replica cannot load this version, and says so."""
        self._refusals[replica.id, version] = error

    def lose(self, replica: Replica) -> None:
        """This replica answers no call; its last heartbeat is still fresh."""
        self._lost.add(replica.id)

    def find(self, replica: Replica) -> None:
        """A lost replica answers again."""
        self._lost.discard(replica.id)

    def serving(self) -> dict[str, str | None]:
        """What each replica serves."""
        return {name: replica.version for name, replica in self._replicas.items()}

    def replicas(self, model: ModelRef) -> list[Replica]:
        return [replica for replica in self._replicas.values() if replica.model == model]

    def prepare(
        self, replicas: Sequence[Replica], version: str, generation: int, *, timeout_seconds: float
    ) -> list[ReplicaAnswer]:
        return [self._tell("prepare", replica, version, generation) for replica in replicas]

    def reload(
        self, replicas: Sequence[Replica], version: str, generation: int, *, timeout_seconds: float
    ) -> list[ReplicaAnswer]:
        return [self._tell("reload", replica, version, generation) for replica in replicas]

    def _tell(self, what: str, told: Replica, version: str, generation: int) -> ReplicaAnswer:
        self.calls.append((what, told.id, version, generation))
        replica = self._replicas[told.id]
        if told.id in self._lost:
            return ReplicaAnswer(replica, ok=False, error="no answer in time")
        error = self._refusals.get((told.id, version))
        if what == "reload" and generation < replica.generation:
            error = f"generation {generation} is older than {replica.generation}"
        if error is None and what == "reload":
            replica = replace(replica, version=version, generation=generation)
            self._replicas[told.id] = replica
        return ReplicaAnswer(
            replica,
            ok=error is None,
            version=replica.version,
            generation=replica.generation,
            seconds=0.01,
            error=error,
            refused=error is not None,
        )


class FakeChannel:
    """Keeps what it is sent in ``sent``; raises ``error`` while one is set."""

    def __init__(self) -> None:
        self.sent: list[Notification] = []
        self.error: Exception | None = None

    def send(self, notification: Notification) -> str:
        if self.error:
            raise self.error
        self.sent.append(notification)
        return "ok"


class FakeLedger:
    """Intents and effects in the order they were committed; each ``intend`` of its own dispatch."""

    def __init__(self, clock: FixedClock | None = None) -> None:
        self.intents: list[Intent] = []
        self._clock = clock or FixedClock()
        self._intended: list[tuple[Intent, datetime]] = []
        self._ended = 0
        self.holdout_uses: set[tuple[ModelRef, str, str]] = set()
        self.effects: dict[str, str | None] = {}
        """Key of an effect to the other side's answer; None while nobody knows."""

    def intend(self, intents: Sequence[Intent]) -> None:
        self.intents += intents
        self._intended += [(intent, self._clock.now()) for intent in intents]

    def times_intended(self, intent: Intent, *, since: datetime) -> int:
        return sum(known == intent and at > since for known, at in self._intended)

    def use_holdout(self, model: ModelRef, version: str, sha256: str) -> int:
        self.holdout_uses.add((model, version, sha256))
        return sum(use[0] == model and use[2] == sha256 for use in self.holdout_uses)

    def begun(self) -> list[tuple[Intent, datetime]]:
        return self._intended[self._ended :]

    def end(self) -> None:
        """The dispatch came to its end: what is intended next is of another."""
        self._ended = len(self._intended)

    def begin_effect(self, key: str, kind: str, request: Mapping[str, Any]) -> str:
        if key not in self.effects:
            self.effects[key] = None
            return "new"
        return "unknown" if self.effects[key] is None else "done"

    def refuse_effect(self, key: str, answer: str) -> None:
        del self.effects[key]

    def finish_effect(self, key: str, answer: str) -> None:
        self.effects[key] = answer


@dataclass(frozen=True, slots=True)
class FakeLook:
    """What was known of one model when the look began."""

    model: ModelRef
    read_at: datetime
    known: Mapping[tuple[str, str], tuple[Any, int]]

    def reading(self, subject: str, facet: str, value: Any) -> Reading:
        _, revision = self.known.get((subject, facet), (None, 0))
        return Reading(self.model, subject, facet, value, revision, self.read_at)

    def value(self, subject: str, facet: str) -> Any:
        return self.known.get((subject, facet), (None, 0))[0]


class FakeHistory:
    """What the journal knows, as plain dictionaries that a test fills."""

    def __init__(self, clock: FixedClock) -> None:
        self.verdicts: dict[tuple[ModelRef, str], Verdict] = {}
        self.rolled_back: dict[ModelRef, set[str]] = {}
        self.rejected: dict[ModelRef, set[str]] = {}
        self.past_champions: dict[ModelRef, list[str]] = {}
        self.numbered: dict[ModelRef, dict[str, str]] = {}
        self.events: dict[str, Event] = {}
        self.desires: dict[ModelRef, Desired] = {}
        self.pauses: dict[ModelRef | None, str] = {}
        """Reason by model; the key None pauses all."""
        self.known: dict[ModelRef, dict[tuple[str, str], tuple[Any, int]]] = {}
        self._clock = clock
        self._rollouts: dict[tuple[ModelRef, str], Desired] = {}

    def know(self, model: ModelRef, subject: str, facet: str, value: Any) -> None:
        """Set what is known of a facet; its revision grows."""
        facets = self.known.setdefault(model, {})
        _, revision = facets.get((subject, facet), (None, 0))
        facets[subject, facet] = (value, revision + 1)

    def look(self, model: ModelRef) -> FakeLook:
        return FakeLook(model, self._clock.now(), dict(self.known.get(model, {})))

    def verdict(self, model: ModelRef, version: str) -> Verdict | None:
        return self.verdicts.get((model, version))

    def is_decided(self, model: ModelRef, version: str) -> bool:
        standing = self.verdict(model, version)
        return standing is not None and standing.verdict != "waiting"

    def under_judgement(self, model: ModelRef) -> frozenset[str]:
        open_ones = {"waiting", "held", "awaiting_approval"}
        return frozenset(
            version
            for (of, version), standing in self.verdicts.items()
            if of == model and standing.verdict in open_ones
        )

    def rolled_back_from(self, model: ModelRef) -> frozenset[str]:
        return frozenset(self.rolled_back.get(model, ()))

    def rejected_by_person(self, model: ModelRef) -> frozenset[str]:
        return frozenset(self.rejected.get(model, ()))

    def said(self, model: ModelRef, version: str) -> list[Event]:
        about = [e for e in self.events.values() if (e.model, e.version) == (model, version)]
        return [e for e in about if e.type in WORDS]

    def champions(self, model: ModelRef) -> list[str]:
        return list(self.past_champions.get(model, ()))

    def changes(self, model: ModelRef, *, since: datetime) -> list[Event]:
        known = [event for event in self.events.values() if event.type in CHAMPION_CHANGES]
        return [event for event in known if event.model == model and event.recorded_at >= since]

    def numbers(self, model: ModelRef) -> dict[str, str]:
        return dict(self.numbered.get(model, {}))

    def chain(self, event_id: str) -> list[Event]:
        events, cause = [], self.events.get(event_id)
        while cause:
            events.append(cause)
            cause = self.events.get(cause.caused_by or "")
        return events

    def caused(self, event_id: str) -> list[Event]:
        return [event for event in self.events.values() if event.caused_by == event_id]

    def desired(self, model: ModelRef) -> Desired | None:
        return self.desires.get(model)

    def next_generation(self, model: ModelRef, version: str | None, cause: Event) -> Desired:
        if (model, cause.id) not in self._rollouts:
            standing = self.desires.get(model)
            desired = Desired(model, version, standing.generation + 1 if standing else 1)
            self._rollouts[model, cause.id] = self.desires[model] = desired
        return self._rollouts[model, cause.id]

    def paused(self, model: ModelRef) -> str | None:
        return self.pauses.get(model) or self.pauses.get(None)
