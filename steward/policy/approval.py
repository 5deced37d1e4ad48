"""The policy's section on approvals: when a person is asked, whom, and for how long.

Part of ``promote`` in :mod:`steward.policy.model`; read by ``handlers/decisions.py``.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import Field

from steward.policy.document import Path
from steward.policy.section import Section

Occasion = Literal[
    "always",
    "inconclusive",
    "first_version",
    "no_rule",
    "below_margin",
    "worse_metric",
    "champion_metric_missing",
    "champion_metric_ambiguous",
    "champion_metric_invalid",
    "older_than_production",
    "rolled_back_from",
]
"""``always``: what the rules would promote. The others are the codes of what they would hold."""

Name = Annotated[str, Field(min_length=1)]


class Approval(Section):
    """Which decisions are a person's. An entry of ``from`` is a group, or a token owner's name."""

    when: tuple[Occasion, ...] = ("inconclusive",)
    required: Annotated[int, Field(ge=1, le=100)] = 1
    from_: tuple[Name, ...] = Field((), alias="from")
    author_may_approve: bool = False
    expires_hours: Annotated[float, Field(gt=0, le=8760)] = 72.0
    accept_tags: bool = False

    def people(self, groups: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        """Whose approvals count, each name once; empty: anybody whose token may approve."""
        named = (person for entry in self.from_ for person in groups.get(entry, (entry,)))
        return tuple(dict.fromkeys(named))


def problems_of(
    approval: Approval, groups: Mapping[str, tuple[str, ...]], path: Path
) -> Iterator[tuple[Path, str]]:
    """What no reading of the section alone shows: a quorum that nobody could reach."""
    people = approval.people(groups)
    reachable = len(people) + approval.accept_tags
    if people and approval.required > reachable:
        told = ", ".join(people)
        text = (
            f"promote.approval asks for {approval.required} approvals from {told}: too few people"
        )
        yield (*path, "required"), text


def describe(
    approval: Approval, groups: Mapping[str, tuple[str, ...]], *, is_used: bool
) -> Iterator[str]:
    """The section in sentences; nothing where no decision is left to a person."""
    if not is_used:
        return
    people = approval.people(groups)
    count = f"{approval.required} approval" + "s" * (approval.required > 1)
    yield f"asks for {count} from {', '.join(people) or 'any approver'} when: " + (
        ", ".join(approval.when) or "a person asks for it"
    )
    for name in approval.from_:
        if name not in groups and (close := get_close_matches(name, groups, n=1, cutoff=0.8)):
            yield f"{name} is no group (is {close[0]} meant?): it is taken for a person"
    if approval.author_may_approve:
        yield "the author may approve"
    if approval.accept_tags:
        yield "the tag approval_status=approved counts as one approval of an unknown person"
    hours = "hour" if approval.expires_hours == 1 else "hours"
    yield f"an open question expires after {approval.expires_hours:g} {hours}"
