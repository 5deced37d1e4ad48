"""GET .../verdict?wait=60: the long poll by which a pipeline waits for a decision."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query

from steward.events import ModelRef
from steward.journal import catalog
from steward.journal.catalog import Standing
from steward.policy.checks import NO_POLICY
from webhook_receiver.api.access import ThisCaller
from webhook_receiver.api.models import ThisPlace, unknown_version
from webhook_receiver.api.query import KNOWN_PARAMETERS, example
from webhook_receiver.room import Room, ThisRoom

LONGEST_WAIT = 300
DEAD = "dead"
"""The code of a judgement that failed for good: only an operator's replay brings a verdict."""
Goal = Literal["decided", "promoted", "serving"]
router = APIRouter(prefix="/api/v1/models", tags=["models"], dependencies=[KNOWN_PARAMETERS])


def is_decided(standing: Standing, _version: str) -> bool:
    """Judged, or known and not being judged: older than the journal, or its judgement is dead.

    What waits for people is not decided: whoever waits goes on waiting.
    """
    verdict = standing.verdict
    is_open = verdict is not None and verdict.verdict in ("waiting", "awaiting_approval")
    is_being_judged = verdict is not None and is_open and verdict.code != DEAD
    return standing.is_known and not is_being_judged


def is_promoted(standing: Standing, version: str) -> bool:
    """It is Production, or nobody judges it any more."""
    return standing.production == version or is_decided(standing, version)


def is_serving(standing: Standing, version: str) -> bool:
    """Every live replica serves it, or it will not become Production as things stand."""
    if not is_decided(standing, version):
        return False
    wanted = standing.desired.version if standing.desired else None
    will_serve = version in (standing.production, wanted) or (
        standing.verdict is not None and standing.verdict.verdict == "promoted"
    )
    return not will_serve or _serves_everywhere(standing, version)


_GOALS: Mapping[Goal, Callable[[Standing, str], bool]] = {
    "decided": is_decided,
    "promoted": is_promoted,
    "serving": is_serving,
}


@router.get(
    "/{name}/versions/{version}/verdict",
    summary="Wait for a version's verdict",
    responses=example(
        {
            "model": "fraud",
            "version": "7",
            "verdict": "promoted",
            "reasons": ["test_auc 0.891 beats Production's 0.862 by 0.029"],
            "code": "beats_production",
            "event_id": "019a9d5e-4c1f-7c3a-8f0e-2f9f5f3f9a11",
            "policy": "fraud@3f9a11",
            "production": "7",
            "serving": {"version": "7", "desired": "7", "generation": 4, "replicas": {"7": 3}},
            "url": "http://127.0.0.1:8800/api/v1/models/fraud/explain?version=7",
            "for": "serving",
            "is_reached": True,
        }
    ),
)
async def show_verdict(  # noqa: PLR0917  # FastAPI fills them in
    room: ThisRoom,
    caller: ThisCaller,
    name: str,
    version: str,
    place: ThisPlace,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait at most")] = 0,
    goal: Annotated[Goal, Query(alias="for", description="What to wait for")] = "decided",
) -> dict[str, Any]:
    """Answers as soon as the version stands as asked for, or cannot any more.

    At the latest after `wait` seconds. `verdict` is `waiting` while it is judged, and null for a
    version that is older than the journal. A version that the journal does not know is waited for
    too, then 404.
    """
    caller.need_read(name)
    model = place.model(name)
    has_reached = _GOALS[goal]
    standing = await room.watch.wait(
        model, version, seconds=wait, is_enough=lambda found: has_reached(found, version)
    )
    if not standing.is_known:
        raise unknown_version(model, version)
    why_never = "" if standing.verdict else await asyncio.to_thread(_why_never, room, model)
    return _document(room.public_url, model, version, standing, why_never) | {
        "for": goal,
        "is_reached": _is_reached(goal, standing, version),
    }


def _why_never(room: Room, model: ModelRef) -> str:
    """Why a version that the journal knows has no verdict."""
    with room.journal.read() as connection:
        known = catalog.find_model(connection, model)
        policy = catalog.governing(connection, known) if known else None
    if policy is not None and policy.name == NO_POLICY:
        return f"no policy governs {model.name}, so nothing of it is judged"
    return "it was never judged here"


def _document(
    url: str, model: ModelRef, version: str, standing: Standing, why_never: str
) -> dict[str, Any]:
    verdict, desired = standing.verdict, standing.desired
    return {
        "model": model.name,
        "version": version,
        "verdict": verdict.verdict if verdict else None,
        "reasons": list(verdict.reasons) if verdict else [why_never],
        "code": verdict.code if verdict else "never_judged",
        "event_id": verdict.event_id if verdict else None,
        "policy": verdict.policy if verdict else None,
        "production": standing.production,
        "serving": {
            "version": _served(standing),
            "desired": desired.version if desired else None,
            "generation": desired.generation if desired else 0,
            "replicas": _by_version(standing),
        },
        "url": f"{url}/api/v1/models/{quote(model.name, safe='')}/explain?version={version}",
    }


def _is_reached(goal: Goal, standing: Standing, version: str) -> bool:
    """Whether what was asked for came true (not: whether it can be answered)."""
    if goal == "decided":
        is_dead = standing.verdict is not None and standing.verdict.code == DEAD
        return is_decided(standing, version) and not is_dead
    if goal == "promoted":
        is_promotion = standing.verdict is not None and standing.verdict.verdict == "promoted"
        return is_promotion or standing.production == version
    return _serves_everywhere(standing, version)


def _served(standing: Standing) -> str | None:
    """The one version that every live replica serves."""
    versions = {replica.version for replica in standing.replicas}
    return versions.pop() if len(versions) == 1 else None


def _serves_everywhere(standing: Standing, version: str) -> bool:
    return bool(standing.replicas) and _served(standing) == version


def _by_version(standing: Standing) -> dict[str, int]:
    counts: dict[str, int] = {}
    for replica in standing.replicas:
        counts[replica.version or "none"] = counts.get(replica.version or "none", 0) + 1
    return counts
