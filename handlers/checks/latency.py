"""Is the version as fast as the champion? Single calls of both, taken in turns on this machine.

Called by the suite. A ratio of interleaved calls stays when neighbours slow the machine down;
an absolute time does not, so it is asked for only by the policy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from handlers.checks import CheckResult, Status
from handlers.checks.context import Array

_ROUNDS_OF_MEDIAN = 20
_ROUNDS_OF_P95 = 20
_ROUNDS_OF_P99 = 100
_WARM_UP_ROUNDS = 3
Timed = Callable[[int], Sequence[float]]
"""Rounds -> milliseconds of each single call of one model with rows of its own columns."""


@dataclass(frozen=True, slots=True)
class LatencyLimits:
    """Greatest ratios to the champion, and a greatest time in milliseconds; None: not checked."""

    ratio_max: float | None = 1.5
    p99_ratio_max: float | None = 2.0
    p95_ms: float | None = None
    rounds: int = 200


def measure_in_turns(
    candidate: Timed, champion: Timed | None, rounds: int
) -> tuple[Array, Array | None]:
    """Milliseconds ``(rounds,)`` of each model on its own features, after a warm-up.

    Who goes first changes every round, so that neither always finds the cache warm.
    """
    candidate(_WARM_UP_ROUNDS)
    if champion is None:
        return np.asarray(candidate(rounds), dtype=float), None
    champion(_WARM_UP_ROUNDS)
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        for side in order:
            times[side].extend((candidate, champion)[side](1))
    return np.asarray(times[0], dtype=float), np.asarray(times[1], dtype=float)


def check_latency(
    candidate_ms: Array, champion_ms: Array | None, limits: LatencyLimits
) -> tuple[CheckResult, ...]:
    """Milliseconds of single calls, ``(rounds,)`` each; ``champion_ms`` None: nobody to compare."""
    results = []
    if limits.ratio_max is not None:
        results.append(_ratio("median", 50, candidate_ms, champion_ms, limits.ratio_max))
    if limits.p99_ratio_max is not None:
        results.append(_ratio("p99", 99, candidate_ms, champion_ms, limits.p99_ratio_max))
    if limits.p95_ms is not None:
        results.append(_absolute(candidate_ms, limits.p95_ms))
    return tuple(results)


def _ratio(
    word: str, percentile: float, candidate_ms: Array, champion_ms: Array | None, limit: float
) -> CheckResult:
    name = f"latency.{word}_ratio"
    if champion_ms is None:
        return CheckResult(name, "skip", threshold=limit, detail="there is no champion to compare")
    needed = _ROUNDS_OF_MEDIAN if word == "median" else _ROUNDS_OF_P99
    problem = _unusable(candidate_ms, needed) or _unusable(champion_ms, needed)
    n = min(len(candidate_ms), len(champion_ms))
    if problem:
        return CheckResult(name, "error", threshold=limit, n=n, detail=problem)
    mine = float(np.percentile(candidate_ms, percentile))
    theirs = float(np.percentile(champion_ms, percentile))
    ratio = mine / theirs
    numbers = {"candidate_ms": mine, "champion_ms": theirs}
    status: Status = "pass" if ratio <= limit else "fail"
    beyond = "" if status == "pass" else f", more than {limit:g} times"
    detail = f"{word} {mine:.2f} ms, the champion's {theirs:.2f} ms: {ratio:.2f} times{beyond}"
    return CheckResult(name, status, ratio, limit, n, detail, numbers=numbers)


def _absolute(candidate_ms: Array, limit: float) -> CheckResult:
    name, n = "latency.p95_ms", len(candidate_ms)
    problem = _unusable(candidate_ms, _ROUNDS_OF_P95)
    if problem:
        return CheckResult(name, "error", threshold=limit, n=n, detail=problem)
    value = float(np.percentile(candidate_ms, 95))
    status: Status = "pass" if value <= limit else "fail"
    beyond = "" if status == "pass" else f", more than {limit:g} ms"
    detail = f"p95 {value:.2f} ms on this machine{beyond}"
    return CheckResult(name, status, value, limit, n, detail)


def _unusable(times_ms: Array, needed: int) -> str:
    if len(times_ms) < needed:
        return f"{len(times_ms)} calls were timed, needs {needed}"
    if not (np.isfinite(times_ms).all() and (times_ms > 0).all()):
        return "a time is not a positive number"
    return ""
