"""Does the same row always get the same answer? Twice in a batch, and alone.

Called by the suite; finds models that keep state, draw random numbers or look at the whole batch.
"""

import numpy as np

from handlers.checks import CheckResult
from handlers.checks.context import Array

_SAME = 1e-6
"""Greatest difference that the order of a sum may make; what a caller would see is far above."""


def check_determinism(first: Array, second: Array, alone: Array) -> tuple[CheckResult, ...]:
    """Answers to the same rows: ``first`` and ``second`` in one batch, ``alone`` row by row."""
    return (
        _alike("determinism.repeated", first, second, "asked again, the same rows answer"),
        _alike("determinism.alone", first[: len(alone)], alone, "asked alone, a row answers"),
    )


def _alike(name: str, one: Array, other: Array, phrase: str) -> CheckResult:
    if one.shape != other.shape or len(one) == 0:
        detail = f"answers of shape {one.shape} and {other.shape} do not compare"
        return CheckResult(name, "error", n=len(one), detail=detail)
    gap = float(np.max(np.abs(one - other)))
    if not np.isfinite(gap):
        return CheckResult(name, "error", n=len(one), detail="an answer is not a finite number")
    limit = _SAME * max(1.0, float(np.max(np.abs(one))))
    word = "alike" if gap <= limit else f"otherwise, by up to {gap:.3g}"
    return CheckResult(
        name, "pass" if gap <= limit else "fail", gap, limit, len(one), f"{phrase} {word}"
    )
