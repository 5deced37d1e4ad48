"""Checks of your own: finds them by the entry point ``steward.checks``, and runs them safely.

Called by the suite. An installed package declares one; the policy names those it wants.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from numbers import Integral, Real
from typing import Any, Protocol, get_args

from handlers.checks import CheckResult, Status
from handlers.checks.context import Examined
from handlers.checks.raised import in_words
from steward.errors import TransientError

GROUP = "steward.checks"
_FIELDS: Mapping[str, Any] = {"detail": str, "n": Integral | None, "numbers": Mapping}


class Check(Protocol):
    """What an entry point of ``steward.checks`` gives: a function of what is examined."""

    def __call__(self, examined: Examined, /) -> CheckResult: ...


@dataclass(frozen=True, slots=True)
class OwnCheck:
    """One check that is not ours; ``problem`` says why it could not be found or loaded."""

    name: str
    run: Check | None = None
    problem: str = ""


def find_own(names: Sequence[str]) -> tuple[OwnCheck, ...]:
    """The named checks, in that order, loaded from what is installed.

    One that is missing, ambiguous or cannot be imported comes back with its problem, and will be
    an error: a check that the policy asks for is never silently left out.
    """
    installed = entry_points(group=GROUP)
    return tuple(
        _found(name, [point for point in installed if point.name == name]) for name in names
    )


def _found(name: str, points: Sequence[EntryPoint]) -> OwnCheck:
    if not points:
        return OwnCheck(name, problem=f"no installed package has {name} in {GROUP}")
    if len({point.value for point in points}) > 1:
        values = ", ".join(sorted(point.value for point in points))
        return OwnCheck(name, problem=f"several packages have {name} in {GROUP}: {values}")
    try:
        check = points[0].load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a package that is not ours may raise anything
        return OwnCheck(name, problem=f"cannot be imported: {error} ({type(error).__name__})"[:300])
    if not callable(check):
        return OwnCheck(name, problem=f"{points[0].value} is no function")
    return OwnCheck(name, run=check)


def run_own(checks: Iterable[OwnCheck], examined: Examined) -> list[CheckResult]:
    """One result a check, named ``own.<name>``; what it raises is its error, and ends no other."""
    return [_run(check, examined) for check in checks]


def _run(check: OwnCheck, examined: Examined) -> CheckResult:
    name = f"own.{check.name}"
    if check.run is None:
        return CheckResult(name, "error", detail=check.problem)
    started = time.perf_counter()
    try:
        result = check.run(examined)
    except TransientError:  # the sandbox is away: the whole examination is tried again
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - code that is not ours may raise anything
        detail, brief = in_words(error)
        return CheckResult(name, "error", detail=detail, brief=brief)
    problem = _unfit(result)
    if problem:
        return CheckResult(name, "error", detail=problem)
    return replace(_plain(result), name=name, seconds=time.perf_counter() - started)


def _unfit(result: object) -> str:
    """Why an answer cannot be kept: the types of a package that is not ours bind nobody."""
    if not isinstance(result, CheckResult):
        return f"returned {type(result).__name__}, not a CheckResult"
    if result.status not in get_args(Status):
        return f"returned the status {result.status!r}, which is none"
    for field, kind in _FIELDS.items():
        if not isinstance(given := getattr(result, field), kind):
            return f"returned {type(given).__name__} as its {field}"
    wrong = [number for number in _numbers(result) if not _is_finite(number)]
    if wrong and isinstance(wrong[0], Real):
        return "returned a number that is NaN or infinite"
    return f"returned {type(wrong[0]).__name__} where a number belongs" if wrong else ""


def _numbers(result: CheckResult) -> list[object]:
    given = [result.value, result.threshold, *result.numbers.values()]
    return [number for number in given if number is not None]


def _is_finite(number: object) -> bool:
    try:
        return isinstance(number, Real) and math.isfinite(number)
    except OverflowError:  # an integer beyond every float
        return False


def _plain(result: CheckResult) -> CheckResult:
    """With Python's own numbers: the journal's JSON knows none of numpy's."""
    value, threshold = (
        None if one is None else float(one) for one in (result.value, result.threshold)
    )
    n = None if result.n is None else int(result.n)
    numbers = {
        str(key): float(number) for key, number in result.numbers.items() if number is not None
    }
    return replace(result, value=value, threshold=threshold, n=n, numbers=numbers)
