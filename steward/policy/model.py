"""What a policy says, in the words of ``steward.yaml``: frozen, unknown keys refused.

Handlers read these; :mod:`steward.policy.parse` makes them from a file, with line numbers.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
)

from steward.events import ModelRef
from steward.policy.approval import Approval
from steward.policy.examination import Checks, Tags
from steward.policy.lifecycle import Freeze
from steward.policy.require import Number, Require, Stages, TagValue, Text, tag_matches
from steward.policy.sandbox import Sandbox
from steward.policy.section import Section

LOOKS_LIKE_PRODUCTION = frozenset({"champion", "production", "prod", "live", "current"})
"""Aliases, in small letters, that people read as Production whatever the policy says."""
PREVIOUS_ALIAS = "previous_champion"
"""The alias that Steward keeps on the version that was Production before."""


class Mode(StrEnum):
    """How much Steward may do: look, also tell, also change the registry and the replicas."""

    OBSERVE = "observe"
    RECOMMEND = "recommend"
    ACT = "act"

    @staticmethod
    def lowest(a: "Mode | str", b: "Mode | str | None") -> "Mode":
        """The more careful of two modes; None is no limit."""
        order = list(Mode)
        return min(Mode(a), Mode(b) if b is not None else Mode.ACT, key=order.index)


def _not_training(name: str) -> str:
    if name.startswith("training_"):
        raise ValueError(
            f"'{name}' is measured on the training data and says nothing about new data"
        )
    return name


def _alias(alias: str) -> str:
    if not re.fullmatch(r"[\w-]+", alias) or re.fullmatch(r"latest|v\d+", alias, re.IGNORECASE):
        raise ValueError(f"'{alias}' cannot be an alias in MLflow")
    return alias


def _one_or_several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
NotNegative = Annotated[Number, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, le=31_536_000)]
MetricName = Annotated[Text, AfterValidator(_not_training)]
Alias = Annotated[str, AfterValidator(_alias)]
Stage = Literal["Staging", "Production"]


class Match(Section):
    """Which models a policy governs; the patterns are those of a shell, case matters."""

    models: Texts = ("*",)
    except_: tuple[Text, ...] = Field((), alias="except")
    registry: Text = "*"
    workspace: str = "*"
    tags: dict[str, TagValue] = {}

    def pattern_for(self, model: ModelRef, tags: Mapping[str, str]) -> str | None:
        """The pattern of ``models`` that matches; None when this policy does not govern it."""
        if not fnmatchcase(model.registry, self.registry):
            return None
        if not fnmatchcase(model.workspace, self.workspace):
            return None
        if any(fnmatchcase(model.name, pattern) for pattern in self.except_):
            return None
        if not all(tag_matches(value, tags.get(key)) for key, value in self.tags.items()):
            return None
        return next((p for p in self.models if fnmatchcase(model.name, p)), None)


class Production(Section):
    """Where the truth about Production is (stage or alias) and what follows it.

    ``challenger_alias`` is kept on the newest version under judgement.
    """

    stage: Stage | None = None
    alias: Alias | None = None
    mirror_alias: Alias | None = None
    mirror_stage: Stage | None = None
    challenger_alias: Alias | None = None
    archive_previous: bool = True

    @property
    def any_stage(self) -> Stage | None:
        """The stage that a champion is in, as truth or as mirror."""
        return self.stage or self.mirror_stage

    @property
    def any_alias(self) -> str | None:
        """The alias that points at the champion, as truth or as mirror."""
        return self.alias or self.mirror_alias


class Metric(Section):
    """One metric: how it was logged, and which way is better."""

    names: Annotated[tuple[MetricName, ...], Field(min_length=1)]
    better: Literal["higher", "lower"]
    dataset: Text | None = None
    if_several: Literal["hold", "latest"] = "hold"
    from_: Literal["any", "source_run", "tags"] = Field("any", alias="from")


class When(Section):
    """By how much a candidate must beat Production: ``margin`` or ``margin_relative``.

    ``compare``: by the values that were logged, or by scoring both on the holdout; ``confidence``
    is of the one-sided interval of the difference there.
    """

    metric: Text
    margin: NotNegative | None = None
    margin_relative: NotNegative | None = None
    compare: Literal["auto", "logged", "holdout"] = "auto"
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class Promote(Section):
    """When a version becomes Production; without ``when``, automation promotes over none."""

    when: When | None = None
    not_worse: dict[str, NotNegative] = {}
    first_version: Literal["promote", "hold", "approval"] = "promote"
    approval: Approval = Approval(when=())


class Reload(Section):
    """How replicas are brought to a new champion."""

    strategy: Literal["all"] = "all"
    min_prepared: Annotated[float, Field(ge=0, le=1)] = 1.0
    timeout_seconds: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    on_failure: Literal["tell", "rollback"] = "tell"


class Guard(Section):
    """What is done when people break what the policy says."""

    two_in_production: Literal["tell"] = "tell"
    unapproved_promotion: Literal["tell"] = "tell"
    settle_seconds: Seconds = 60.0


class Notify(Section):
    """Which events are told to which channels."""

    events: Texts
    to: Annotated[Texts, BeforeValidator(_one_or_several, json_schema_input_type=Text | Texts)]


class Policy(Section):
    """The rules for some models."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$", max_length=100)]
    mode: Mode
    match: Match = Match()
    production: Production = Production(stage="Production")
    metrics: dict[str, Metric] = {}
    require: Require = Require()
    stages: Stages = Stages()
    wait_seconds: Seconds = 3600.0
    on_missing: Literal["hold", "reject"] = "hold"
    checks: Checks | None = None
    tags: Tags = Tags()
    sandbox: Sandbox = Sandbox()
    promote: Promote = Promote(first_version="hold")
    reload: Reload = Reload()
    guard: Guard = Guard()
    freeze: tuple[Freeze, ...] = ()
    notify: tuple[Notify, ...] = ()
    _file_hash: str = PrivateAttr("")
    _groups: Mapping[str, tuple[str, ...]] = PrivateAttr(default_factory=dict)

    def of_file(self, file_hash: str, groups: Mapping[str, tuple[str, ...]] | None = None) -> Self:
        """The same policy, knowing its file: the sha256 (hex) of its text, and its groups."""
        policy = self.model_copy()
        policy._file_hash = file_hash  # noqa: SLF001  # our own, on the copy
        policy._groups = groups or {}  # noqa: SLF001  # our own, on the copy
        return policy

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The file's groups of people, by name."""
        return self._groups

    @property
    def approvers(self) -> tuple[str, ...]:
        """Whose approvals count, by name; empty: anybody whose token may approve."""
        return self.promote.approval.people(self._groups)

    @property
    def to_be_judged(self) -> tuple[Require, ...]:
        """The gates before a version is examined: the policy's, and those of Staging."""
        return tuple(filter(None, (self.require, self.stages.staging)))

    @property
    def all_gates(self) -> tuple[Require, ...]:
        """Every section of gates, in the order in which a version meets them."""
        return tuple(filter(None, (*self.to_be_judged, self.stages.production)))

    @property
    def read_tags(self) -> frozenset[str]:
        """The tags of a version that some gate reads."""
        return frozenset().union(*(gates.read_tags for gates in self.all_gates))

    @property
    def file_hash(self) -> str:
        """The sha256 (hex) of the file that the policy was read from."""
        return self._file_hash

    @property
    def ref(self) -> str:
        """Name and version of the rules that a decision names: ``fraud@0123456789ab``."""
        return f"{self.name}@{self._file_hash[:12]}"
