"""What handlers may ask of the world: Protocols of a few methods each, and the values they carry.

Clients in ``steward/clients`` implement them on real services; ``tests/fakes.py`` in memory.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from steward.events import Event, ModelRef, NewEvent
from steward.policy import ChannelSpec, Mode, Policy
from steward.policy.sandbox import ALL_FORMATS, Format, Level
from steward.policy.sandbox import Sandbox as SandboxRules

if TYPE_CHECKING:  # they take a second to import, and most roles never need them
    import numpy as np
    import pandas as pd


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
class DatasetInput:
    """A dataset that a run says it used; ``context``: training, eval ..., where it was said.

    ``uri`` is where it can be loaded from again; None where it cannot, or nobody looked.
    """

    name: str
    digest: str
    context: str = ""
    source_type: str = ""
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a model's signature; ``type`` in MLflow's words: double, long, string ..."""

    name: str
    type: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and what it answers; ``is_there`` False: the model has none."""

    inputs: tuple[Column, ...] = ()
    outputs: tuple[Column, ...] = ()
    is_there: bool = True


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the registry holds about one version's quality, along its chain of copies.

    ``metrics``: every value found on its runs, logged models and tags (never filtered by name);
    ``signature``: None when nobody asked for it, or the model's files could not be read;
    ``lineage``: git_commit, git_branch, git_repo, source_name, user, parent_run, run_id, model_id,
    datasets, dataset_digest; ``params``, ``inputs`` and ``environment`` (library to version) as its
    runs recorded them; ``copied_from``: the version it is a copy of, as model/number.
    """

    metrics: tuple[MetricValue, ...] = ()
    signature: Signature | None = None
    lineage: Mapping[str, str] = field(default_factory=dict)
    looked_at: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[DatasetInput, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    copied_from: str | None = None


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
    sandbox: "Sandbox | None" = None
    datasets: "Datasets | None" = None
    store: "ModelStore | None" = None


# --- examination --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model version's files on this machine: its directory, their digest and size."""

    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one examination may be given and may use.

    ``cpu_seconds`` is for all of it; ``memory_mib`` is beyond what the preloaded libraries take;
    ``wall_seconds`` is for loading, and again for each answer; ``trusted`` are exact names of
    functions, classes and loader modules that a model may use beside the ones of our own list.
    """

    min_level: Level = "L1"
    cpu_seconds: int = 60
    memory_mib: int = 4096
    wall_seconds: float = 120.0
    formats: tuple[Format, ...] = ALL_FORMATS
    trusted: tuple[str, ...] = ()

    @classmethod
    def of(cls, rules: SandboxRules) -> "SandboxLimits":
        """The limits that a policy's section ``sandbox`` sets."""
        return cls(
            min_level=rules.min_level,
            cpu_seconds=rules.cpu_s,
            memory_mib=rules.mem_mib,
            wall_seconds=rules.wall_s,
            formats=rules.formats,
            trusted=rules.trusted,
        )


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a loaded model.

    ``flavor``: the one that loaded it (``sklearn``, ``python_function``). ``classes``: a
    classifier's, in the order of its probabilities, as text; None for anything else.
    ``input_columns``: names and MLflow types of its signature, None without one; a column
    without a name is called by its position; ``optional_columns``: those that may be left out.
    ``requirements``: library to version, as recorded when it was logged, and ``python_version``
    then; ``libraries``: the versions that it was loaded with.
    """

    flavor: str
    classes: tuple[str, ...] | None = None
    input_columns: tuple[tuple[str, str], ...] | None = None
    requirements: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    optional_columns: frozenset[str] = frozenset()
    python_version: str = ""

    @property
    def made_with(self) -> dict[str, str]:
        """Python and the libraries that it was logged with, as far as its files say."""
        python = {"python": self.python_version} if self.python_version else {}
        return {**python, **self.requirements}


class SandboxedModel(Protocol):
    """One model, loaded in one child process, for one examination.

    Its methods raise ModelUnfitError when the model is at fault (an exception, a crash, a limit,
    a wrong output), PermanentError when rows cannot be sent (a column of mixed types), and
    TransientError when the sandbox is away.
    """

    @property
    def info(self) -> ModelFacts:
        """What is known of it since it was loaded."""
        ...

    def predict(self, features: "pd.DataFrame") -> "np.ndarray":
        """Score rows without labels.

        float64, of shape (n,) for a regression (the value) or a binary classifier (the probability
        of the positive class, ``classes[1]``), and (n, k) for the k classes of others. NaN and
        infinite values come through: a check judges them.
        """
        ...

    def time(self, features: "pd.DataFrame", *, rounds: int) -> list[float]:
        """Milliseconds of each of ``rounds`` calls with these rows, measured beside the model."""
        ...


class Sandbox(Protocol):
    """Where models that nobody trusts are loaded. ``level`` L1: a process; L2: without network."""

    @property
    def level(self) -> Level:
        """The level in force on this machine."""
        ...

    def open(
        self, files: ModelFiles, limits: SandboxLimits
    ) -> AbstractContextManager[SandboxedModel]:
        """Check the files' content, then load them in a new child; it ends with the context.

        Raises ModelUnfitError: refused content, or it does not load within its limits;
        PermanentError: this machine does not reach ``min_level``; TransientError: no child now.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows of a dataset with named columns, and what identifies their content.

    ``sha256`` is of the bytes they were read from; ``digests`` are MLflow's short ones of the whole
    table and of the table without ``label``, as a run's dataset inputs would name them.
    """

    name: str
    uri: str
    sha256: str
    frame: "pd.DataFrame"
    digests: frozenset[str] = frozenset()


class Datasets(Protocol):
    """Where rows come from."""

    def load(self, uri: str, *, label: str | None = None, sha256: str | None = None) -> Table:
        """The table at an address.

        PermanentError: it is not there, not a table, too large, or not the content that ``sha256``
        pins. TransientError: its store is away.
        """
        ...

    def of_run(self, model: ModelRef, run_id: str) -> list[DatasetInput]:
        """The datasets that a run used, then its artifacts ``holdout/*.parquet`` (as holdout)."""
        ...


class ModelStore(Protocol):
    """A version's files, and what an examination leaves beside them."""

    def files(self, version: VersionInfo, into: Path) -> ModelFiles:
        """Download the version's files. PermanentError: not there, or too large."""
        ...

    def keep_metrics(
        self, version: VersionInfo, metrics: Mapping[str, float], *, dataset: str, digest: str
    ) -> None:
        """Log metrics on the version's run and logged model, with the dataset they are from."""
        ...

    def keep_report(self, version: VersionInfo, files: Mapping[str, bytes]) -> str | None:
        """Log files as artifacts of the version's run, in its folder ``validation``.

        Returns that folder's address, ``runs:/<run_id>/validation``; None for a version of no run.
        """
        ...


# --- what a handler returns ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done:
    """It was handled: new facts, and readings of the registry to be compared with what we knew."""

    events: tuple[NewEvent, ...] = ()
    readings: tuple[Reading, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """There was nothing to do; ``reason`` says why.

    ``then`` names handlers of the same event to dispatch now.
    """

    reason: str
    then: tuple[str, ...] = ()


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
