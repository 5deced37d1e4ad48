"""What one check of a version found; ``examine`` runs the checks, reports and decisions read them.

Imports the standard library alone, so that every room may read a result. The numbers are computed
by one module a check, which import numpy and are loaded only where a version is examined.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["pass", "fail", "warn", "skip", "error"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check of one version. ``fail`` and ``error`` speak against it; no data is never a pass.

    ``name``: what was checked, unique in one examination: ``quality.roc_auc``, ``drift.age``;
    ``value``: what was measured, None when nothing could be; ``threshold``: the bound it was held
    against, None without one; ``n``: how many rows it rests on; ``detail``: one sentence for
    people; ``numbers``: what else was measured, by name; ``seconds``: how long it took;
    ``brief``: stands for a ``detail`` with words of code that is not ours (an exception's text, a
    model's output), which may quote a row: for the page that is passed on, and not journalled.

    ``skip``: the policy or the data give nothing to check; ``error``: it should have been checked
    and could not be.
    """

    name: str
    status: Status
    value: float | None = None
    threshold: float | None = None
    n: int | None = None
    detail: str = ""
    seconds: float = 0.0
    numbers: Mapping[str, float] = field(default_factory=dict)
    brief: str = field(default="", compare=False)

    def as_dict(self) -> dict[str, Any]:
        """As a JSON object, for the journal and ``validation/report.json``."""
        return {
            "name": self.name,
            "status": self.status,
            "value": self.value,
            "threshold": self.threshold,
            "n": self.n,
            "detail": self.detail,
            "seconds": self.seconds,
            "numbers": dict(self.numbers),
        }


_GRAVITY: tuple[Status, ...] = ("error", "fail", "warn", "pass", "skip")


def worst(results: Iterable[CheckResult]) -> Status:
    """The gravest status among results; ``skip`` when nothing was checked."""
    found = {result.status for result in results}
    return next((status for status in _GRAVITY if status in found), "skip")
