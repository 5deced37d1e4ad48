"""Looks for versions of one model by verdict, tags and recorded metrics, newest first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from steward.events import Event
from steward.journal import catalog, past, verdicts
from steward.journal.catalog import KnownModel, of_kind
from steward.ports import Verdict

PART, MOST_LOOKED_AT = 100, 2_000
"""Versions read at once, and for one page; a page that ends there has a next one."""


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """One version with what is known of it now, and the judgement that recorded its evidence."""

    version: str
    facets: Mapping[str, Any]
    verdict: Verdict | None
    judgement: Event | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which versions; both conditions are asked with plain values, so that they stay pure."""

    tags: Callable[[Mapping[str, str]], bool]
    evidence: Callable[[Mapping[str, Any]], bool]
    verdict: str | None = None


def search(
    connection: Connection, known: KnownModel, wanted: Wanted, *, before: str | None, limit: int
) -> tuple[list[FoundVersion], str | None]:
    """A page of versions, and the version after which the next one goes on (None: the end)."""
    everything = catalog.versions_of(connection, known)
    ordered = list(everything)
    # By number, so that a version which was deleted meanwhile does not begin the pages anew.
    start = (
        sum(catalog.order_of(each) >= catalog.order_of(before) for each in ordered) if before else 0
    )
    found: list[FoundVersion] = []
    for first in range(start, min(len(ordered), start + MOST_LOOKED_AT), PART):
        part = [
            version
            for version in ordered[first : first + PART]
            if wanted.tags(of_kind(everything[version], "tag"))
        ]
        judgements = past.judgements_of(connection, known.model, part)
        for version in part:
            judgement = judgements.get(version)
            if not wanted.evidence(judgement.data if judgement else {}):
                continue
            verdict = verdicts.standing_verdict(connection, known.model, version)
            if wanted.verdict and (verdict.verdict if verdict else "none") != wanted.verdict:
                continue
            found.append(FoundVersion(version, everything[version], verdict, judgement))
            if len(found) == limit:
                return found, version if version != ordered[-1] else None
    last = start + MOST_LOOKED_AT
    return found, ordered[last - 1] if last < len(ordered) else None
