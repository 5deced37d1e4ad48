"""Can the version stand where the champion stands? Its inputs against the champion's.

Called by the suite. Callers send what the champion takes, and go on doing so after a promotion.
"""

from dataclasses import dataclass

from handlers.checks import CheckResult, Status
from steward.ports import Column

_WIDER = {("integer", "long"), ("float", "double"), ("integer", "double")}
"""(champion's type, candidate's) that MLflow converts without loss when it enforces a signature."""
_TOLD = 10

_ALLOWED = "callers break on this, which the policy allows (checks.schema.breaking: allow)"

Inputs = tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class SchemaLimits:
    """Whether a version that callers break on may pass; told are its breaks in any case."""

    is_break_allowed: bool = False


def check_schema(
    candidate: Inputs | None, champion: Inputs | None, limits: SchemaLimits | None = None
) -> CheckResult:
    """No new required column and no changed type; what the candidate no longer reads is told."""
    limits = limits or SchemaLimits()
    if champion is None:
        return CheckResult("schema", "skip", detail="the champion has no signature to compare")
    if candidate is None:
        return CheckResult("schema", "error", detail="the version has no signature to compare")
    before = {column.name: column for column in champion}
    breaks: list[str] = []
    changes: list[str] = []
    for column in candidate:
        text, is_break = _change(before.get(column.name), column)
        if text:
            (breaks if is_break else changes).append(text)
    gone = sorted(set(before) - {column.name for column in candidate})
    changes += [f"{name} is no longer read" for name in gone]
    status: Status = "warn" if changes else "pass"
    told = [*_some(breaks), *_some(changes)]
    if breaks and limits.is_break_allowed:
        told = [*_some(breaks), _ALLOWED, *_some(changes)]
    elif breaks:
        status = "fail"
    threshold = None if limits.is_break_allowed else 0.0
    detail = "; ".join(told) or "takes what the champion takes"
    return CheckResult("schema", status, float(len(breaks)), threshold, len(candidate), detail)


def _some(told: list[str]) -> list[str]:
    """A model of hundreds of columns would hide every other reason."""
    more = len(told) - _TOLD
    return told if more <= 0 else [*told[:_TOLD], f"and {more} more such"]


def _change(before: Column | None, column: Column) -> tuple[str, bool]:
    """What changed of one column, in words, and whether callers break on it."""
    if before is None:
        word = "required" if column.required else "optional"
        return f"new {word} column {column.name}", column.required
    if before.type != column.type:
        is_wider = (before.type, column.type) in _WIDER
        return f"{column.name} was {before.type}, is {column.type}", not is_wider
    if column.required and not before.required:
        return f"{column.name} was optional, is required", True
    return "", False
