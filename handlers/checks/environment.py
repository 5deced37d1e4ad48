"""Compares the libraries here with those that the version was made with.

Called by the suite. A pickled or skops-saved estimator is read by the library's code of today.
"""

import platform
import re
from collections.abc import Collection, Iterable, Mapping
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
    made_with: Mapping[str, str],
    running: Mapping[str, str],
    limits: EnvironmentLimits,
    unpinned: Collection[str] = (),
) -> CheckResult:
    """Name -> version, of both: another minor or major version fails, another patch warns.

    Nothing recorded, a library of ``unpinned`` whose version nothing tells, or one that is not
    installed here, is an error; that none of ``libraries`` was used is nothing to check.
    """
    if not made_with and not unpinned:
        detail = "the version does not say which libraries it was made with"
        return CheckResult("environment", "error", n=0, detail=detail)
    names, loose = _looked_at(made_with, limits), _looked_at(unpinned, limits)
    unknown = [name for name in loose if name not in made_with]
    if not names and not unknown:
        detail = "made with none of the libraries whose code reads a saved model"
        return CheckResult("environment", "skip", n=0, detail=detail)
    absent = [name for name in names if name not in running]
    skews = {name: _skew(made_with[name], running[name]) for name in names if name in running}
    worst: Status = max(skews.values(), key=_SEVERITY.index, default="pass")
    status: Status = "error" if worst != "fail" and (absent or unknown) else worst
    others = [name for name in skews if made_with[name] != running[name]]
    told = [f"made with {name} {made_with[name]}, here it is {running[name]}" for name in others]
    told += _told("as made", [name for name in skews if name not in others])
    told += _told("not installed here", absent)
    told += _told("required in no exact version, and none is recorded", unknown)
    told += _told("not pinned by its requirements", [name for name in loose if name in made_with])
    value, n = float(len(others)) if skews else None, len(names) + len(unknown)
    return CheckResult("environment", status, value, 0.0, n, "; ".join(told))


def _told(what: str, names: list[str]) -> list[str]:
    return [f"{what}: {', '.join(names)}"] if names else []


def _looked_at(names: Iterable[str], limits: EnvironmentLimits) -> list[str]:
    return sorted(name for name in names if limits.libraries is None or name in limits.libraries)


def _skew(made: str, here: str) -> Status:
    if made == here:
        return "pass"
    one, other = _NUMBERS.match(made), _NUMBERS.match(here)
    if one is None or other is None:
        return "fail"
    same_minor = one.group(1, 2) == other.group(1, 2)
    return "warn" if same_minor else "fail"
