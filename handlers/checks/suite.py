"""Runs the checks that a policy asks for on one examined version; ``examine`` calls it.

A check that is asked for and cannot be made ends as ``error``: never as a pass.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from handlers.checks import CheckResult
from handlers.checks import probes as probe
from handlers.checks.context import Examined, Handle
from handlers.checks.drift import DriftLimits
from handlers.checks.environment import EnvironmentLimits, check_environment, installed_here
from handlers.checks.fairness import FairnessLimits
from handlers.checks.latency import LatencyLimits
from handlers.checks.own import OwnCheck, run_own
from handlers.checks.quality import QualityLimits
from handlers.checks.raised import in_words
from handlers.checks.robustness import RobustnessLimits
from handlers.checks.sanity import SanityLimits
from handlers.checks.schema import SchemaLimits, check_schema
from steward.errors import TransientError


@dataclass(frozen=True, slots=True)
class Suite:
    """Which checks to run, and their bounds: what the policy's ``checks`` asks for.

    None or False leaves a check out. What is cheap and needs no bound of the policy runs unasked.
    """

    quality: QualityLimits | None = field(default_factory=QualityLimits)
    sanity: SanityLimits | None = field(default_factory=SanityLimits)
    determinism: bool = True
    schema: SchemaLimits | None = field(default_factory=SchemaLimits)
    environment: EnvironmentLimits | None = field(default_factory=EnvironmentLimits)
    latency: LatencyLimits | None = None
    drift: DriftLimits | None = None
    fairness: FairnessLimits | None = None
    robustness: RobustnessLimits | None = None
    own: tuple[OwnCheck, ...] = ()


Run = Callable[[], Iterable[CheckResult]]


def judge_facts(candidate: Handle, champion: Handle | None, suite: Suite) -> list[CheckResult]:
    """The checks that need no rows and ask no model: what stands in the files is compared."""
    results = []
    if suite.schema is not None:
        bounds = suite.schema
        results += _timed("schema", lambda: [_schema(candidate, champion, bounds)])
    if suite.environment is not None:
        limits = suite.environment
        results += _timed("environment", lambda: [_environment(candidate, limits)])
    return results


def run_suite(examined: Examined, suite: Suite) -> list[CheckResult]:
    """Every other check of the suite, in the order of the report; none can end the others.

    Raises TransientError, and nothing else: the whole examination is then tried again.
    """
    results = [result for name, run in _runs(examined, suite) for result in _timed(name, run)]
    return [*results, *run_own(suite.own, examined)]


def _runs(examined: Examined, suite: Suite) -> Iterator[tuple[str, Run]]:
    """What asks the model for the least comes first: a model that dies spoils the fewest."""
    quality, sanity, drift = suite.quality, suite.sanity, suite.drift
    fairness, latency, robustness = suite.fairness, suite.latency, suite.robustness
    if sanity is not None:
        yield "sanity", lambda: probe.sanity(examined, sanity)
    if quality is not None:
        yield "quality", lambda: probe.quality(examined, quality)
    if drift is not None:
        yield "drift", lambda: probe.drift(examined, drift)
    if fairness is not None:
        yield "fairness", lambda: probe.fairness(examined, fairness)
    if suite.determinism:
        yield "determinism", lambda: probe.determinism(examined)
    if latency is not None:
        yield "latency", lambda: probe.latency(examined, latency)
    if robustness is not None:
        yield "robustness", lambda: probe.robustness(examined, robustness)


def _schema(candidate: Handle, champion: Handle | None, limits: SchemaLimits) -> CheckResult:
    if champion is None:
        return CheckResult("schema", "skip", detail="there is no champion to compare")
    return check_schema(candidate.inputs, champion.inputs, limits)


def _environment(candidate: Handle, limits: EnvironmentLimits) -> CheckResult:
    recorded = candidate.libraries
    return check_environment(recorded, installed_here(recorded), limits, candidate.unpinned)


def _timed(name: str, run: Run) -> list[CheckResult]:
    """The results of one check, each with its share of the seconds that all of them took."""
    started = time.perf_counter()
    results: list[CheckResult] = []
    try:
        for result in run():  # one by one: what was found before the model broke is kept
            results.append(result)  # noqa: PERF402
    except TransientError:
        raise
    except Exception as error:  # noqa: BLE001 - the model or its data may break in any way
        detail, brief = in_words(error)
        results.append(CheckResult(name, "error", detail=detail, brief=brief))
    seconds = (time.perf_counter() - started) / max(len(results), 1)
    return [replace(result, seconds=seconds) for result in results]
