"""Examine a version: load it in the sandbox, score the holdout, run the checks, compare.

Called by ``validate`` when the gates have passed, and by ``promote`` when Production is another
than it was compared with. Imports numbers: its callers import it where they need it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from handlers.checks import CheckResult
from handlers.checks.suite import Suite, judge_facts, run_suite
from handlers.comparing import compare, score_not_worse
from handlers.examined import Examination, HoldoutUse, OnHoldout
from handlers.holdout import NoReferenceError, Rows, find_rows
from handlers.progress import Progress, Stopped, unfit
from handlers.report.curves import Curves
from handlers.report.drawn import curves_of
from handlers.scoring import Scored, examined_of, handle_of, score, suite_of
from steward.errors import ModelUnfitError, PermanentError
from steward.policy import Policy
from steward.policy.examination import Checks
from steward.ports import (
    Datasets,
    ModelFiles,
    ModelStore,
    Sandbox,
    SandboxedModel,
    SandboxLimits,
    Services,
    VersionInfo,
)

_Models = tuple[SandboxedModel, SandboxedModel | None]
"""Candidate, and the champion where there is one that could be loaded."""
_Answers = tuple[Rows, Scored, Scored | None]
"""The rows, and what candidate and champion answered to them."""


@dataclass(frozen=True, slots=True)
class _Tools:
    """What an examination needs of the services, all there."""

    sandbox: Sandbox
    datasets: Datasets
    store: ModelStore
    checks: Checks
    limits: SandboxLimits


@dataclass(frozen=True, slots=True)
class _Case:
    """One version beside Production's, if there is one."""

    services: Services
    tools: _Tools
    candidate: VersionInfo
    champion: VersionInfo | None
    run_id: str | None


def examine(
    services: Services,
    candidate: VersionInfo,
    run_id: str | None,
    champion: VersionInfo | None,
    *,
    is_drawn: bool = False,
) -> Examination:
    """Every check that the policy asks for, and the comparison with Production if there is one.

    ``is_drawn``: with the curves of a report. Raises TransientError when a store or the sandbox is
    away; everything else is a result.
    """
    progress = Progress()
    tools = progress.tried(lambda: _tools(services))
    if tools is None:
        return progress.found
    case = _Case(services, tools, candidate, champion, run_id)
    with _workplace() as place, ExitStack() as stack:
        models = _loaded(case, progress, place, stack)
        if models is None:
            return progress.found
        suite = suite_of(services.policy)
        _judge_facts(case, progress, models, suite)
        scored = _scored(case, progress, models)
        if scored is None:
            return progress.found
        return _examine(case, progress.found, suite, scored, is_drawn=is_drawn)


def _tools(services: Services) -> _Tools:
    sandbox, datasets, store = services.sandbox, services.datasets, services.store
    if sandbox is None or datasets is None or store is None or services.policy.checks is None:
        raise Stopped("sandbox", "error", "this worker has no sandbox to load a model in")
    limits = SandboxLimits.of(services.policy.sandbox)
    return _Tools(sandbox, datasets, store, services.policy.checks, limits)


@contextmanager
def _workplace() -> Iterator[Path]:
    """A directory for the files of both models, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="steward-examine-") as directory:
        yield Path(directory)


def _loaded(case: _Case, progress: Progress, place: Path, stack: ExitStack) -> _Models | None:
    """Candidate and champion; None without a candidate."""
    tools, champion = case.tools, case.champion
    files = progress.tried(lambda: _files(tools.store, case.candidate, place / "candidate"))
    if files is None:
        return None
    progress.found = replace(progress.found, model_sha256=files.sha256)
    model = progress.tried(lambda: _open(stack, tools, files, "candidate"))
    if model is None:
        return None
    level, made_with = tools.sandbox.level, model.info.made_with
    progress.found = replace(progress.found, level=level, made_with=made_with)
    if champion is None:
        return model, None
    into = place / "champion"
    its = progress.tried(lambda: _files(tools.store, champion, into, who="champion"))
    if its is None:
        return model, None
    return model, progress.tried(lambda: _open(stack, tools, its, "champion"))


def _judge_facts(case: _Case, progress: Progress, models: _Models, suite: Suite) -> None:
    """What the files alone tell, whether rows can be had and scored or not."""
    model, its = models
    other = handle_of(case.champion.version, its) if case.champion and its else None
    has_both = case.champion is None or other is not None
    asked = suite if has_both else replace(suite, schema=None)
    results = judge_facts(handle_of(case.candidate.version, model), other, asked)
    progress.add(_unasked(result) for result in results)


def _scored(case: _Case, progress: Progress, models: _Models) -> _Answers | None:
    """Both on the holdout; None where anything that is needed for it stopped."""
    policy, champion, (model, its) = case.services.policy, case.champion, models
    number = case.candidate.version
    rows = progress.tried(lambda: _rows(case))
    if rows is None:
        return None
    scored = progress.tried(lambda: _score(policy, rows, number, model, "candidate"))
    if scored is None:
        return None
    other = None
    if champion is not None and its is not None:
        other = progress.tried(lambda: _score(policy, rows, champion.version, its, "champion"))
    return None if progress.is_stopped else (rows, scored, other)


def _rows(case: _Case) -> Rows:
    rules = case.tools.checks.holdout
    if rules is None:
        raise Stopped("holdout", "error", "the policy names no holdout")
    try:
        return find_rows(case.tools.datasets, rules, case.candidate.model, case.run_id)
    except NoReferenceError as error:
        raise Stopped("holdout.reference", "error", str(error)) from error
    except PermanentError as error:
        raise Stopped("holdout", "error", str(error)) from error


def _examine(
    case: _Case, known: Examination, suite: Suite, both: _Answers, *, is_drawn: bool
) -> Examination:
    policy, (rows, scored, other) = case.services.policy, both
    examined = examined_of(policy, rows, case.candidate.model.name, scored, other)
    results = (*known.results, *run_suite(examined, suite))
    curves = curves_of(examined, suite, results, scored.classes) if is_drawn else Curves()
    holdout = _use(case.services, rows, case.candidate)
    found = replace(known, results=results, holdout=holdout, curves=curves)
    when = policy.promote.when
    if other is None or when is None or when.compare == "logged":
        return found
    comparison = compare(policy, scored, other)
    others = ({}, {}) if comparison.problem else score_not_worse(policy, scored, other)
    compared = OnHoldout(other.handle.version, comparison, holdout, policy.ref, *others)
    return replace(found, on_holdout=compared)


def _unasked(result: CheckResult) -> CheckResult:
    """A version that records no libraries warns: no policy asked for them, so it does not hold."""
    if (result.name, result.status) == ("environment", "error"):
        return replace(result, status="warn")
    return result


def _use(services: Services, rows: Rows, candidate: VersionInfo) -> HoldoutUse:
    table = rows.holdout
    uses = services.ledger.use_holdout(candidate.model, candidate.version, table.sha256)
    return HoldoutUse(table.name, table.sha256, len(table.frame), uses)


def _files(store: ModelStore, version: VersionInfo, into: Path, who: str = "files") -> ModelFiles:
    into.mkdir()
    try:
        return store.files(version, into)
    except PermanentError as error:
        detail = f"the files of version {version.version} cannot be had: {error}"
        raise Stopped(who, "error", detail) from error


def _open(stack: ExitStack, tools: _Tools, files: ModelFiles, who: str) -> SandboxedModel:
    try:
        return stack.enter_context(tools.sandbox.open(files, tools.limits))
    except ModelUnfitError as error:
        level = "" if error.reason == "content" else tools.sandbox.level
        raise unfit("loading", who, "does not load", error, level) from error
    except PermanentError as error:
        raise Stopped("sandbox", "error", str(error), level=tools.sandbox.level) from error


def _score(policy: Policy, rows: Rows, version: str, model: SandboxedModel, who: str) -> Scored:
    try:
        return score(policy, rows, version, model)
    except ModelUnfitError as error:
        raise unfit("scoring", who, "cannot score the holdout", error) from error
    except PermanentError as error:
        raise Stopped("scoring", "error", f"{who}: {error}") from error
