"""Runs the checks that a policy asks for on one examined version; ``examine`` calls it.

A check that the policy asks for and that cannot be made ends as ``error``: never as a pass.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from handlers.checks import CheckResult
from handlers.checks.context import Examined
from handlers.checks.determinism import check_determinism
from handlers.checks.drift import DriftLimits, check_drift
from handlers.checks.environment import EnvironmentLimits, check_environment
from handlers.checks.fairness import FairnessLimits, check_fairness
from handlers.checks.latency import LatencyLimits, check_latency
from handlers.checks.own import OwnCheck, run_own
from handlers.checks.quality import QualityLimits, check_quality
from handlers.checks.robustness import RobustnessLimits, check_robustness
from handlers.checks.sanity import SanityLimits, check_sanity
from handlers.checks.schema import check_schema


@dataclass(frozen=True, slots=True)
class Suite:
    """Which checks to run, and their bounds: what the policy's ``checks`` asks for.

    None leaves a check out. What is cheap and needs no bound of the policy's runs unasked.
    """

    quality: QualityLimits | None = field(default_factory=QualityLimits)
    sanity: SanityLimits | None = field(default_factory=SanityLimits)
    determinism: bool = True
    schema: bool = True
    environment: EnvironmentLimits | None = field(default_factory=EnvironmentLimits)
    latency: LatencyLimits | None = None
    drift: DriftLimits | None = None
    fairness: FairnessLimits | None = None
    robustness: RobustnessLimits | None = None
    own: tuple[OwnCheck, ...] = ()


Run = Callable[[], Iterable[CheckResult]]


def run_suite(examined: Examined, suite: Suite) -> list[CheckResult]:
    """Every check of the suite, in the order of the report; none can end the others."""
    results = [result for name, run in _runs(examined, suite) for result in _timed(name, run)]
    return [*results, *run_own(suite.own, examined)]


def _runs(examined: Examined, suite: Suite) -> Iterator[tuple[str, Run]]:
    if suite.schema:
        yield "schema", lambda: check_schema(examined)
    if suite.environment:
        limits = suite.environment
        yield "environment", lambda: check_environment(examined, limits)
