"""The semantic version of a version that becomes Production: MAJOR.MINOR.PATCH, by rule.

Called by ``promote`` where the policy asks for the tag; ``annotate`` writes it. The form is that of
semver.org, without pre-releases: major where callers break, minor for a better model, patch for one
that cannot be told from Production.
"""

import re
from dataclasses import replace
from typing import Literal

from handlers.checks.schema import check_schema
from handlers.production import Production
from handlers.rulings import Decision
from handlers.verdicts import SEMANTIC_VERSION
from steward.ports import Column, Services, Signature, VersionInfo

Bump = Literal["major", "minor", "patch"]
Number = tuple[int, int, int]
LARGEST_IN_A_TAG = 10**9 - 1
"""Of each part: whoever sets a tag leaves room to count on."""
_FORM = re.compile(r"(0|[1-9]\d{0,17})\.(0|[1-9]\d{0,17})\.(0|[1-9]\d{0,17})", re.ASCII)
_BETTER = frozenset({"beats_production", "no_production"})


def numbered(services: Services, before: Production, decision: Decision) -> Decision:
    """The decision with the number of the version that takes the place of ``before.version``.

    As it was, where the policy asks for none. A number that it has already stays.
    """
    if not services.policy.tags.semantic_version:
        return decision
    version, given = decision.candidate.version, services.history.numbers(before.model)
    held = _held(before.versions.get(version), given.get(version))
    past = {*services.history.champions(before.model), *given, *filter(None, [before.version])}
    highest = max(
        filter(None, (_held(before.versions.get(one), given.get(one)) for one in past - {version})),
        default=None,
    )
    if held and version in given:
        return _with(decision, tell(held), "as before")
    if held and (highest is None or held > highest):
        return _with(decision, tell(held), "as its tag says")
    ignored = f"; its tag {tell(held)} is not above {tell(highest)}" if held and highest else ""
    if highest is None:
        return _with(decision, "1.0.0", "the first of its model")
    bump, because = _bump(before, decision)
    chosen = tell(after(highest, bump))
    return _with(decision, chosen, f"{bump} after {tell(highest)}: {because}{ignored}")


def tag_to_write(version: VersionInfo, given: str | None, *, is_promotion: bool) -> dict[str, str]:
    """The tag, where a version lacks the number that it was given; what people correct stays.

    A copy came with the tag of its source: there the promotion itself overwrites it.
    """
    is_foreign = is_promotion and version.copy_of is not None
    if given is None or (parse(version.tags.get(SEMANTIC_VERSION)) and not is_foreign):
        return {}
    return {SEMANTIC_VERSION: given}


def parse(text: str | None) -> Number | None:
    """``"1.4.0"`` as numbers; None for anything else."""
    found = _FORM.fullmatch(text or "")
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def tell(number: Number) -> str:
    """The inverse of :func:`parse`."""
    return ".".join(map(str, number))


def after(number: Number, bump: Bump) -> Number:
    """The next number of its kind; what stands to the right of it begins at 0."""
    major, minor, patch = number
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


def _with(decision: Decision, number: str, why: str) -> Decision:
    reasons = (*decision.reasons, f"it is numbered {number}, {why}")
    return replace(decision, semantic_version=number, reasons=reasons)


def _held(info: VersionInfo | None, given: str | None) -> Number | None:
    """The number of a version: what it was given, or a higher one that a person set as its tag.

    A copy has the tags of its source, so that there the tag counts for nothing.
    """
    tag = parse(info.tags.get(SEMANTIC_VERSION)) if info and info.copy_of is None else None
    if tag and max(tag) > LARGEST_IN_A_TAG:
        tag = None
    return max(filter(None, (parse(given), tag)), default=None)


def _bump(before: Production, decision: Decision) -> tuple[Bump, str]:
    champion = decision.champion
    if before.version is None or champion is None:
        return "minor", "there was no Production"
    new, old = decision.candidate.signature, champion.signature
    unknown = "" if new and old else "; whether its signature changed could not be read"
    if new and old and (broken := breaking(new, old)):
        return "major", f"against version {before.version}, {broken}"
    if decision.ruled in _BETTER:
        return "minor", f"it beats version {before.version}{unknown}"
    return "patch", f"nothing shows that it beats version {before.version}{unknown}"
