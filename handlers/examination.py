"""Examine a version: load it in the sandbox, score the holdout, run the checks, compare.

Called by ``validate`` when the gates have passed, and by ``promote`` when Production is another
than it was compared with. Imports numbers: its callers import it where they need it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from handlers.checks import CheckResult, Status
from handlers.checks.suite import run_suite
from handlers.comparing import compare, score_not_worse
from handlers.examined import Examination, HoldoutUse, OnHoldout
from handlers.holdout import Rows, find_rows
from handlers.report.curves import Curves
from handlers.report.drawn import curves_of
from handlers.scoring import Scored, examined_of, score, suite_of
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


@dataclass(frozen=True, slots=True)
class _Tools:
    """What an examination needs of the services, all there."""

    sandbox: Sandbox
    datasets: Datasets
    store: ModelStore
    checks: Checks


class _Stopped(Exception):  # noqa: N818  # carries a result, not a fault of ours
    """The examination cannot go on; ``result`` says why, as a check."""

    def __init__(self, name: str, status: str, detail: str, brief: str = "") -> None:
        super().__init__(detail)
        kind: Status = "fail" if status == "fail" else "error"
        self.result = CheckResult(name, kind, detail=detail, brief=brief)


def _unfit(name: str, who: str, what: str, error: ModelUnfitError) -> _Stopped:
    """A candidate that is at fault has failed; a champion that is leaves it unclear.

    What stands in the files is told everywhere, what the model said when it ran in detail alone.
    """
    status = "fail" if who == "candidate" else "error"
    told = f"the {who} {what}"
    brief = "" if error.reason == "content" else f"{told} ({error.reason})"
    return _Stopped(name, status, f"{told}: {error}", brief)


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
    try:
        tools = _tools(services)
        rows = _rows(tools, candidate, run_id)
        with _workplace() as place:
            return _examine(services, tools, rows, (candidate, champion), place, is_drawn=is_drawn)
    except _Stopped as stopped:
        return Examination((stopped.result,))


def _tools(services: Services) -> _Tools:
    sandbox, datasets, store = services.sandbox, services.datasets, services.store
    if sandbox is None or datasets is None or store is None or services.policy.checks is None:
        raise _Stopped("sandbox", "error", "this worker has no sandbox to load a model in")
    return _Tools(sandbox, datasets, store, services.policy.checks)


def _rows(tools: _Tools, candidate: VersionInfo, run_id: str | None) -> Rows:
    rules = tools.checks.holdout
    if rules is None:
        raise _Stopped("holdout", "error", "the policy names no holdout")
    try:
        return find_rows(tools.datasets, rules, candidate.model, run_id)
    except PermanentError as error:
        raise _Stopped("holdout", "error", str(error)) from error


@contextmanager
def _workplace() -> Iterator[Path]:
    """A directory for the files of both models, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="steward-examine-") as directory:
        yield Path(directory)


def _examine(
    services: Services,
    tools: _Tools,
    rows: Rows,
    sides: tuple[VersionInfo, VersionInfo | None],
    place: Path,
    *,
    is_drawn: bool,
) -> Examination:
    policy, (candidate, champion) = services.policy, sides
    limits = SandboxLimits.of(policy.sandbox)
    with ExitStack() as stack:
        files = _files(tools.store, candidate, place / "candidate")
        model = _open(stack, tools.sandbox, files, limits, "candidate")
        scored = _score(policy, rows, candidate.version, model, "candidate")
        other = None
        if champion is not None:
            its_files = _files(tools.store, champion, place / "champion", who="champion")
            its_model = _open(stack, tools.sandbox, its_files, limits, "champion")
            other = _score(policy, rows, champion.version, its_model, "champion")
        examined = examined_of(policy, rows, candidate, scored, other)
        suite = suite_of(policy)
        results = [_unasked(result) for result in run_suite(examined, suite)]
    curves = curves_of(examined, suite, results, model.info.classes) if is_drawn else Curves()
    holdout = _use(services, rows, candidate)
    level, made_with = tools.sandbox.level, model.info.made_with
    found = Examination(tuple(results), None, holdout, files.sha256, level, made_with, curves)
    when = policy.promote.when
    if champion is None or other is None or when is None or when.compare == "logged":
        return found
    comparison = compare(policy, scored, other)
    others = ({}, {}) if comparison.problem else score_not_worse(policy, scored, other)
    compared = OnHoldout(champion.version, comparison, holdout, policy.ref, *others)
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
        raise _Stopped(who, "error", detail) from error


def _open(
    stack: ExitStack, sandbox: Sandbox, files: ModelFiles, limits: SandboxLimits, who: str
) -> SandboxedModel:
    try:
        return stack.enter_context(sandbox.open(files, limits))
    except ModelUnfitError as error:
        raise _unfit("loading", who, "does not load", error) from error
    except PermanentError as error:
        raise _Stopped("sandbox", "error", str(error)) from error


def _score(policy: Policy, rows: Rows, version: str, model: SandboxedModel, who: str) -> Scored:
    try:
        return score(policy, rows, version, model)
    except ModelUnfitError as error:
        raise _unfit("scoring", who, "cannot score the holdout", error) from error
    except PermanentError as error:
        raise _Stopped("scoring", "error", f"{who}: {error}") from error
