"""The semantic version of a version that becomes Production: MAJOR.MINOR.PATCH, by rule.

Called by ``promote`` where the policy asks for the tag; ``annotate`` writes it. The form is that of
semver.org, without pre-releases: major where callers break, minor for a better model, patch for one
that cannot be told from Production.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from handlers.checks.schema import check_schema
from handlers.production import Production
from handlers.rulings import Decision
from steward.errors import PermanentError
from steward.ports import Column, Evidence, Services, Signature, VersionInfo

TAG = "semantic_version"
Bump = Literal["major", "minor", "patch"]
Number = tuple[int, int, int]
_FORM = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", re.ASCII)
_BETTER = frozenset({"beats_production", "no_production"})


@dataclass(frozen=True, slots=True)
class Numbered:
    """The number that a version has from now on, and why, as a reason of the promotion."""

    number: str
    reason: str


def number(services: Services, before: Production, decision: Decision) -> Numbered | None:
    """What to call the version that takes the place of ``before.version``; None if nobody asked.

    A number that it has already stays: from an earlier promotion, or from a person's tag.
    """
    if not services.policy.tags.semantic_version:
        return None
    version = decision.candidate.version
    given = services.history.numbers(before.model)
    info = before.versions[version]
    evidence = _evidence(services, info)
    is_copy = evidence is not None and evidence.copied_from is not None
    if not is_copy and parse(info.tags.get(TAG)):  # a copy has all the tags of its source
        return Numbered(info.tags[TAG], f"it is numbered {info.tags[TAG]}, as its tag says")
    if version in given:
        return Numbered(given[version], f"it is numbered {given[version]}, as before")
    highest = _highest(services, before, version, given)
    if highest is None:
        return Numbered("1.0.0", "it is numbered 1.0.0, the first of its model")
    bump, because = _bump(services, before, decision, evidence)
    chosen = tell(after(highest, bump))
    return Numbered(chosen, f"it is numbered {chosen}, {bump} after {tell(highest)}: {because}")


def parse(text: str | None) -> Number | None:
    """``"1.4.0"`` as numbers; None for anything else."""
    found = _FORM.fullmatch(text or "")
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def tell(numbered: Number) -> str:
    """The inverse of :func:`parse`."""
    return ".".join(map(str, numbered))


def after(numbered: Number, bump: Bump) -> Number:
    """The next number of its kind; what stands to the right of it begins at 0."""
    major, minor, patch = numbered
    if bump == "major":
        return major + 1, 0, 0
    return (major, minor + 1, 0) if bump == "minor" else (major, minor, patch + 1)


def breaking(new: Signature, old: Signature) -> str:
    """Why callers of the old model cannot use the new one, in words; empty if they can.

    What one of the two does not say is no break.
    """
    found = [_broken_inputs(new.inputs, old.inputs)] if new.inputs and old.inputs else []
    if new.outputs and old.outputs:
        found.append(_broken_outputs(new.outputs, old.outputs))
    return "; ".join(text for text in found if text)


def _broken_inputs(new: tuple[Column, ...], old: tuple[Column, ...]) -> str:
    result = check_schema(new, old)
    return result.detail if result.status == "fail" else ""


def _broken_outputs(new: tuple[Column, ...], old: tuple[Column, ...]) -> str:
    """An answer that is gone or of another type; one more breaks nobody."""
    kinds = {column.name: column.type for column in new}
    changed = (
        f"its answer {column.name} was {column.type}, is {kinds.get(column.name, 'gone')}"
        for column in old
        if kinds.get(column.name) != column.type
    )
    return "; ".join(changed)


def _bump(
    services: Services, before: Production, decision: Decision, evidence: Evidence | None
) -> tuple[Bump, str]:
    if before.version is None:
        return "minor", "there was no Production"
    champion = _evidence(services, before.versions[before.version])
    signatures = [side.signature if side else None for side in (evidence, champion)]
    new, old = signatures
    unknown = "" if new and old else "; whether its signature changed could not be read"
    if new and old and (broken := breaking(new, old)):
        return "major", f"against version {before.version}, {broken}"
    if decision.ruled in _BETTER:
        return "minor", f"it beats version {before.version}{unknown}"
    return "patch", f"nothing shows that it beats version {before.version}{unknown}"


def _highest(
    services: Services, before: Production, version: str, given: Mapping[str, str]
) -> Number | None:
    """Of all that were Production, so that no number is given twice; a tag outdoes our record."""
    past = {*services.history.champions(before.model), *given, *filter(None, [before.version])}
    numbers = []
    for one in past - {version}:
        info = before.versions.get(one)
        numbers.append((parse(info.tags.get(TAG)) if info else None) or parse(given.get(one)))
    return max((found for found in numbers if found), default=None)


def _evidence(services: Services, info: VersionInfo) -> Evidence | None:
    try:
        return services.registry.evidence(info, with_signature=True)
    except PermanentError:
        return None
