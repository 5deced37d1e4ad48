"""What an examination found, as values: ``validate`` records it, ``promote`` decides by it.

Imports no numbers; :mod:`handlers.examination` computes.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from handlers.checks import CheckResult
from handlers.conclusion import Comparison
from handlers.report.curves import Curves
from steward.policy import Policy
from steward.policy.examination import BETTER, computed_by


@dataclass(frozen=True, slots=True)
class HoldoutUse:
    """The rows that versions were scored on, and how many versions were decided on by them."""

    name: str
    sha256: str
    n: int
    uses: int

    @property
    def told(self) -> str:
        """As reasons say it; each further use weakens what the rows can tell."""
        times = "1 decision" if self.uses == 1 else f"{self.uses} decisions"
        return f"holdout {self.name} ({self.n} rows) was used for {times}"


@dataclass(frozen=True, slots=True)
class BothScored:
    """One more metric of both on the same rows; ``metric`` is scikit-learn's name of it."""

    metric: str
    candidate: float
    champion: float


@dataclass(frozen=True, slots=True)
class OnHoldout:
    """Candidate and champion scored on the same rows; ``champion`` is Production's version.

    ``others``: the metrics of ``not_worse``, by the policy's names, as far as they were computed;
    ``unscored``: those that should have been, and why they were not.
    """

    champion: str
    comparison: Comparison
    holdout: HoldoutUse
    policy: str
    others: Mapping[str, BothScored] = field(default_factory=dict)
    unscored: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """What an event keeps of it; the two values stand in ``scores``, beside the version."""
        kept = storable(self.comparison.as_dict())
        return {
            **kept,
            "scores": {side: kept[side] for side in ("candidate", "champion")},
            "champion": self.champion,
            "policy": self.policy,
            "holdout": asdict(self.holdout),
            "others": {name: asdict(both) for name, both in self.others.items()},
            "unscored": dict(self.unscored),
        }

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`as_dict`."""
        names = Comparison.__dataclass_fields__
        values = {name: kept[name] for name in names if name in kept} | kept["scores"]
        others = kept.get("others") or {}  # older events have none
        return cls(
            kept["champion"],
            Comparison(**values),
            HoldoutUse(**kept["holdout"]),
            kept["policy"],
            {name: BothScored(**both) for name, both in others.items()},
            kept.get("unscored") or {},
        )


@dataclass(frozen=True, slots=True)
class Examination:
    """Every check of one version, and how it compares with Production, if both could be scored.

    ``model_sha256`` is of the version's files; ``level`` the sandbox's; ``made_with`` the Python
    and libraries that the files name, which lineage records; ``curves`` are for the report alone,
    and no event carries them.
    """

    results: tuple[CheckResult, ...]
    on_holdout: OnHoldout | None = None
    holdout: HoldoutUse | None = None
    model_sha256: str = ""
    level: str = ""
    made_with: Mapping[str, str] = field(default_factory=dict)
    curves: Curves = field(default_factory=Curves, compare=False, repr=False)

    def having(self, status: str) -> list[CheckResult]:
        """The checks that ended so."""
        return [result for result in self.results if result.status == status]

    @property
    def faults(self) -> str:
        """What speaks against the version, in one line; empty when nothing does."""
        results = (*self.having("fail"), *self.having("error"))
        return "; ".join(f"{result.name}: {result.detail}" for result in results)

    def as_data(self) -> dict[str, Any]:
        """The keys that ``model_version.validated`` carries of it."""
        return {
            "checks": [storable(result.as_dict()) for result in self.results],
            "comparison": self.on_holdout.as_dict() if self.on_holdout else None,
            "holdout": asdict(self.holdout) if self.holdout else None,
            "model_sha256": self.model_sha256,
            "sandbox": self.level,
        }


def storable(value: Any) -> Any:
    """A JSON value without NaN and infinity, which a journal on PostgreSQL refuses: None."""
    if isinstance(value, Mapping):
        return {key: storable(one) for key, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def is_by_holdout(policy: Policy) -> bool:
    """Whether the policy compares by scoring both on its holdout."""
    when = policy.promote.when
    has_holdout = policy.checks is not None and policy.checks.holdout is not None
    return when is not None and when.compare != "logged" and has_holdout


def computed_as(policy: Policy, name: str) -> str | None:
    """What is computed on the holdout for a metric of the policy; None where it is only logged."""
    declared = policy.metrics.get(name)
    if declared is None or not is_by_holdout(policy):
        return None
    function = computed_by(name, declared.names)
    return function if function and BETTER[function] == declared.better else None
