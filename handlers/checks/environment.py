"""Compares the libraries here with those that the version was made with.

Called by the suite. A pickled or skops-saved estimator is read by the library's code of today.
"""

import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from handlers.checks import CheckResult, Status

_NUMBERS = re.compile(r"^(\d+)(?:\.(\d+))?(?:\.(\d+))?")
_SEVERITY: tuple[Status, ...] = ("pass", "warn", "fail")


@dataclass(frozen=True, slots=True)
class EnvironmentLimits:
    """``libraries``: whose versions matter; None: all that the version recorded."""

    libraries: frozenset[str] | None = frozenset(
        {"scikit-learn", "xgboost", "lightgbm", "catboost", "torch", "tensorflow", "skops"}
    )


def installed_here(recorded: Iterable[str]) -> dict[str, str]:
    """The versions here of Python and of the named libraries, as far as they are installed.

    They are this process's, which the sandbox's child shares.
    """
    here = {"python": platform.python_version()}
    for name in recorded:
        try:
            here[name] = version(name)
        except PackageNotFoundError:
            continue
    return here


def check_environment(
    made_with: Mapping[str, str], running: Mapping[str, str], limits: EnvironmentLimits
) -> CheckResult:
    """Name -> version, of both: another minor or major version fails, another patch warns.

    Nothing recorded, or a library that is not installed here, is an error; that none of
    ``libraries`` was used is nothing to check.
    """
    if not made_with:
        detail = "the version does not say which libraries it was made with"
        return CheckResult("environment", "error", n=0, detail=detail)
    names = sorted(
        name for name in made_with if limits.libraries is None or name in limits.libraries
    )
    if not names:
        detail = "made with none of the libraries whose code reads a saved model"
        return CheckResult("environment", "skip", n=0, detail=detail)
    absent = [name for name in names if name not in running]
    if absent:
        detail = f"not installed here: {', '.join(absent)}"
        return CheckResult("environment", "error", n=len(names), detail=detail)
    statuses = {name: _skew(made_with[name], running[name]) for name in names}
    others = [name for name in names if made_with[name] != running[name]]
    worst = max(statuses.values(), key=_SEVERITY.index)
    told = [f"made with {name} {made_with[name]}, here it is {running[name]}" for name in others]
    detail = "; ".join(told) or f"as made: {', '.join(names)}"
    return CheckResult("environment", worst, float(len(others)), 0.0, len(names), detail)


def _skew(made: str, here: str) -> Status:
    if made == here:
        return "pass"
    one, other = _NUMBERS.match(made), _NUMBERS.match(here)
    if one is None or other is None:
        return "fail"
    same_minor = one.group(1, 2) == other.group(1, 2)
    return "warn" if same_minor else "fail"
