"""What handlers may ask of the world: Protocols of a few methods each, and the values they carry.

Clients in ``steward/clients`` implement them on real services; ``tests/fakes.py`` in memory.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from steward.events import Event, ModelRef, NewEvent
from steward.policy import ChannelSpec, Mode, Policy


class Clock(Protocol):
    """Where times come from."""

    def now(self) -> datetime:
        """The time now, aware, UTC."""
        ...


# --- the registry -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One model version as the registry tells it now."""

    model: ModelRef
    version: str
    created_at: datetime
    updated_at: datetime
    stage: str = "None"
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    run_id: str | None = None
    status: str = "READY"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One registered model as the registry tells it now; ``aliases`` maps alias to version."""

    model: ModelRef
    created_at: datetime
    updated_at: datetime
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One logged value. ``value`` is None when it was logged as NaN or infinite.

    ``origin``: where it was found; ``run_id`` or ``model_id``: on what; ``dataset``: the name of
    the dataset it was logged with, if any; ``logged_at``: when.
    """

    name: str
    value: float | None
    origin: Literal["run", "logged_model", "tag"]
    subject_id: str
    dataset: str | None = None
    dataset_digest: str | None = None
    logged_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the registry holds about one version's quality, along its chain of copies.

    ``metrics``: every value found on its runs, logged models and tags (never filtered by name);
    ``has_signature``: None when the model's files could not be read;
    ``lineage``: git_commit, git_branch, git_repo, source_name, user, parent_run, run_id, model_id.
    """

    metrics: tuple[MetricValue, ...] = ()
    has_signature: bool | None = None
    lineage: Mapping[str, str] = field(default_factory=dict)
    looked_at: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelPage:
    """One page of registered models, and the token of the next (None at the end)."""

    models: tuple[ModelInfo, ...]
    next_token: str | None = None


class Registry(Protocol):
    """A model registry. Every method may raise TransientError (away, slow) or PermanentError."""

    name: str

    def model(self, model: ModelRef) -> ModelInfo:
        """The model with its aliases. NotFoundError if the registry answers 404."""
        ...

    def version(self, model: ModelRef, version: str) -> VersionInfo:
        """One version. NotFoundError if the registry answers 404."""
        ...

    def versions(self, model: ModelRef) -> list[VersionInfo]:
        """Every version of the model, oldest first; empty when there is none."""
        ...

    def models(self, *, page_token: str | None = None, max_results: int = 100) -> ModelPage:
        """One page of models with aliases, last updated first. Prompts are not models."""
        ...

    def evidence(self, version: VersionInfo, *, with_signature: bool = False) -> Evidence:
        """Metrics and lineage of a version; ``with_signature`` also reads its MLmodel file."""
        ...

    def set_stage(
        self, model: ModelRef, version: str, stage: str, *, archive_existing: bool
    ) -> None:
        """Move a version to a stage; others in that stage to Archived if asked."""
        ...

    def set_alias(self, model: ModelRef, alias: str, version: str) -> None:
        """Point an alias at a version (creates or moves it)."""
        ...

    def delete_alias(self, model: ModelRef, alias: str) -> None:
        """Remove an alias; nothing happens when it does not exist."""
        ...

    def set_version_tag(self, model: ModelRef, version: str, key: str, value: str) -> None:
        """Set one tag of a version."""
        ...

    def delete_version_tag(self, model: ModelRef, version: str, key: str) -> None:
        """Remove one tag of a version. NotFoundError when there is none."""
        ...


# --- the fleet --------------------------------------------------------------------------------


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


# --- people -----------------------------------------------------------------------------------


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


# --- the journal, as handlers see it ------------------------------------------------------------


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

    def has_intended(self, intent: Intent) -> bool:
        """Whether this dispatch committed that intent before, and stopped before its end."""
        ...

    def begin_effect(self, key: str, kind: str, request: Mapping[str, Any]) -> str:
        """Commit that an effect is about to happen.

        Returns ``"new"`` the first time, ``"done"`` if it stands already (skip it), ``"unknown"``
        if an earlier try began it and nobody knows whether it happened.
        """
        ...

    def refuse_effect(self, key: str, answer: str) -> None:
        """Commit that it certainly did not happen: the next try of it is ``"new"``."""
        ...

    def finish_effect(self, key: str, answer: str) -> None:
        """Commit that it happened."""
        ...


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
    """

    verdict: str
    reasons: tuple[str, ...] = ()
    code: str = ""
    event_id: str | None = None
    policy: str | None = None
    at: datetime | None = None


class History(Protocol):
    """What the journal knows that the registry does not."""

    def look(self, model: ModelRef) -> Look:
        """Note the revisions of a model's facets, before reading the registry."""
        ...

    def verdict(self, model: ModelRef, version: str) -> Verdict | None:
        """The standing verdict; None for a version Steward never judged (history)."""
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


@dataclass(frozen=True, slots=True)
class Hint:
    """What goes to the broker after a commit: the dispatch, its handler and its queue.

    ``is_patient`` lets everything that is not go first: a backlog, or what is replayed.
    """

    dispatch_id: str
    handler: str
    queue: str
    is_patient: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """The dispatch at hand, as its handler may see it."""

    dispatch_id: str
    handler: str
    target: str = ""
    run: int = 1
    failures: int = 0
    created_at: datetime | None = None
    lane: str | None = None


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a handler may use. ``mode`` is the policy's, under the ceiling of the settings.

    ``templates_dir``: where the installation keeps its own message templates, if anywhere.
    """

    registry: Registry
    fleet: Fleet
    ledger: Ledger
    history: History
    clock: Clock
    policy: Policy
    mode: Mode
    work: Work
    channel: "Callable[[str], tuple[ChannelSpec, Channel]]"
    public_url: str = ""
    registry_url: str = ""
    templates_dir: Path | None = None


# --- what a handler returns ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done:
    """It was handled: new facts, and readings of the registry to be compared with what we knew."""

    events: tuple[NewEvent, ...] = ()
    readings: tuple[Reading, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """There was nothing to do; ``reason`` says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet.

    Looked at again every ``check_seconds``, at once on news of the version, and at last at
    ``until``, when the handler must decide with what is there. ``then`` names handlers of the same
    event to dispatch meanwhile (``annotate`` writes "waiting" on the version).
    """

    until: datetime
    reason: str
    check_seconds: float = 15.0
    then: tuple[str, ...] = ()


Outcome = Done | Skipped | Wait
Handler = Callable[[Event, Services], Outcome]


def only(readings: Iterable[Reading | None]) -> tuple[Reading, ...]:
    """The readings that are there."""
    return tuple(reading for reading in readings if reading is not None)
