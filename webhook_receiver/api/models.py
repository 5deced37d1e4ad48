"""GET /api/v1/models, one model, one version: their state as last observed, decisions, replicas."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query

from steward.events import EventType, ModelRef
from steward.journal import catalog, champions, crowding, history, queries, verdicts
from steward.journal.catalog import KnownModel, of_kind
from steward.journal.facets import DESCRIPTION, EXISTS, STAGE
from steward.policy import Mode, Policy
from steward.policy.checks import NO_POLICY
from steward.ports import Verdict
from webhook_receiver.api.access import Caller, ThisCaller
from webhook_receiver.api.events import item_of
from webhook_receiver.api.query import KNOWN_PARAMETERS, Place, example, place_of
from webhook_receiver.api.replicas import fleet_of
from webhook_receiver.problems import ProblemError
from webhook_receiver.room import Room, ThisRoom

SHOWN_VERSIONS = 25
SHOWN_EVENTS = 20
ThisPlace = Annotated[Place, Depends(place_of)]
router = APIRouter(prefix="/api/v1/models", tags=["models"], dependencies=[KNOWN_PARAMETERS])

_MODEL = {
    "name": "fraud",
    "registry": "default",
    "workspace": "",
    "production": "6",
    "several_in_production": [],
    "aliases": {"champion": "6"},
    "tags": {"team": "risk"},
    "description": "Card fraud",
    "versions": 7,
    "paused": None,
    "created_at": "2026-01-05T09:00:00+00:00",
    "deleted_at": None,
}
EXAMPLE_POLICY = {"name": "fraud", "ref": "fraud@3f9a11", "mode": "act"}
EXAMPLE_VERDICT = {
    "verdict": "held",
    "reasons": ["test_auc 0.871 beats Production's 0.862 by 0.009, less than the margin of 0.02"],
    "code": "below_margin",
    "event_id": "019a9d5e-4c1f-7c3a-8f0e-2f9f5f3f9a11",
    "policy": "fraud@3f9a11",
    "at": "2026-03-01T12:00:02+00:00",
    "receipt": "9f2c7d0f4f5d1be1b0a5d9d2b7c1e8f3a64b8c0d5e7f90123456789abcdef012",
}


@router.get(
    "",
    summary="List models by name",
    responses=example({"items": [_MODEL], "next_cursor": None}),
)
def list_models(
    room: ThisRoom,
    caller: ThisCaller,
    q: Annotated[str | None, Query(max_length=512, description="Part of the name")] = None,
    cursor: Annotated[str | None, Query(max_length=512)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """`next_cursor` is the name to go on after."""
    with room.journal.read() as connection:
        found = catalog.list_models(connection, after=cursor, text=q, limit=limit)
        readable = [each for each in found if caller.may_read(each[0].model.name)]
        crowded = crowding.crowds(connection, [known for known, _ in readable])
        items = [
            _model(known, history.pause_of(connection, known.model), crowded) | {"versions": count}
            for known, count in readable
        ]
    return {"items": items, "next_cursor": found[-1][0].model.name if len(found) == limit else None}


@router.get(
    "/{name}",
    summary="One model: Production, versions, decisions, replicas",
    responses=example(
        _MODEL
        | {
            "versions": [{"version": "7", "stage": "None", "verdict": EXAMPLE_VERDICT}],
            "policy": EXAMPLE_POLICY,
            "decisions": [],
            "past_production": ["6", "4"],
            "desired": {"version": "6", "generation": 3},
            "replicas": [],
        }
    ),
)
def show_model(room: ThisRoom, caller: ThisCaller, name: str, place: ThisPlace) -> dict[str, Any]:
    """The newest 25 versions and the latest 20 decisions; the rest is in the events."""
    known = find_model(room, caller, place.model(name))
    with room.journal.read() as connection:
        versions = catalog.versions_of(connection, known)
        shown = list(versions.items())[:SHOWN_VERSIONS]
        decisions = queries.events_of(
            connection, known.model, types=tuple(verdicts.DECISIONS), limit=SHOWN_EVENTS
        )
        crowded = crowding.crowds(connection, [known])
        document = _model(known, history.pause_of(connection, known.model), crowded) | {
            "policy": policy_of(room, catalog.governing(connection, known)),
            "version_count": len(versions),
            "versions": [
                {
                    "version": version,
                    "stage": facets.get(STAGE, "None"),
                    "aliases": aliases_of(known, version),
                    "verdict": verdict_of(
                        verdicts.standing_verdict(connection, known.model, version)
                    ),
                }
                for version, facets in shown
            ],
            "decisions": [item_of(event) for event in reversed(decisions)],
            "past_production": champions.past_champions(connection, known.model),
        }
    return document | fleet_of(room, known.model)


@router.get(
    "/{name}/versions/{version}",
    summary="One version: state, verdict, and the evidence its validation recorded",
    responses=example(
        {
            "model": "fraud",
            "version": "7",
            "stage": "None",
            "aliases": [],
            "tags": {"data_version": "2026-02"},
            "description": "",
            "verdict": EXAMPLE_VERDICT,
            "evidence": {"metric": "auc", "candidate": {"value": 0.871}},
            "events": [],
            "links": {"explain": "/api/v1/models/fraud/explain?version=7"},
        }
    ),
)
def show_version(
    room: ThisRoom, caller: ThisCaller, name: str, version: str, place: ThisPlace
) -> dict[str, Any]:
    """`evidence` is the data of its latest validation; null before there was one."""
    known = find_model(room, caller, place.model(name))
    with room.journal.read() as connection:
        facets = catalog.version_facets(connection, known, version)
        events = queries.events_of(connection, known.model, version=version, limit=SHOWN_EVENTS)
        if not facets and not events:
            raise unknown_version(known.model, version)
        judged = (EventType.VALIDATED, EventType.HELD, EventType.REJECTED)
        evidence = catalog.latest_event(connection, known.model, version, judged)
        verdict = verdicts.standing_verdict(connection, known.model, version)
    return {
        "model": known.model.name,
        "registry": known.model.registry,
        "workspace": known.model.workspace,
        "version": version,
        "is_deleted": not facets.get(EXISTS),
        "is_production": known.production == version,
        "stage": facets.get(STAGE, "None"),
        "aliases": aliases_of(known, version),
        "tags": of_kind(facets, "tag"),
        "description": facets.get(DESCRIPTION) or "",
        "verdict": verdict_of(verdict),
        "evidence": dict(evidence.data) if evidence else None,
        "events": [item_of(event) for event in reversed(events)],
        "links": {"explain": f"/api/v1/models/{quote(name, safe='')}/explain?version={version}"},
    }


def find_model(room: Room, caller: Caller, model: ModelRef) -> KnownModel:
    """The model. ProblemError: 403 where the token does not cover it, 404 where it is unknown."""
    caller.need_read(model.name)
    with room.journal.read() as connection:
        known = catalog.find_model(connection, model)
    if known is None:
        where = f" in registry {model.registry}" if model.registry != "default" else ""
        raise ProblemError(
            404,
            "unknown_model",
            f"The journal knows no model {model.name[:200]}{where}; see GET /api/v1/models.",
        )
    return known


def unknown_version(model: ModelRef, version: str) -> ProblemError:
    """404 for a version that the journal has nothing about."""
    return ProblemError(
        404,
        "unknown_version",
        f"The journal knows no version {version[:64]} of {model.name}; "
        f"see GET /api/v1/models/{quote(model.name, safe='')}.",
        verdict="unknown",
    )


def policy_of(room: Room, policy: Policy) -> dict[str, Any]:
    """What governs the model now, and how much it lets Steward do here; a name of None: nothing."""
    is_governed = policy.name != NO_POLICY
    return {
        "name": policy.name if is_governed else None,
        "ref": policy.ref if is_governed else None,
        "mode": Mode.lowest(policy.mode, room.settings.mode),
    }


def verdict_of(verdict: Verdict | None) -> dict[str, Any] | None:
    """A verdict as the API shows it."""
    if verdict is None:
        return None
    return {
        "verdict": verdict.verdict,
        "reasons": list(verdict.reasons),
        "code": verdict.code,
        "event_id": verdict.event_id,
        "policy": verdict.policy,
        "at": verdict.at,
        "receipt": verdict.receipt,
    }


def aliases_of(known: KnownModel, version: str) -> list[str]:
    """The aliases that point at a version."""
    return [alias for alias, meant in known.of_kind("alias").items() if str(meant) == version]


def paused_of(pause: Any) -> dict[str, Any] | None:
    """Who paused what covers a model, and why; None while nothing does."""
    return {"by": pause.actor, "reason": pause.reason} if pause else None


def _model(known: KnownModel, pause: Any, crowded: Mapping[int, list[str]]) -> dict[str, Any]:
    """``several_in_production``: the versions, where two or more are and only one can be."""
    return {
        "name": known.model.name,
        "registry": known.model.registry,
        "workspace": known.model.workspace,
        "production": known.production,
        "several_in_production": crowded.get(known.id, []),
        "aliases": known.of_kind("alias"),
        "tags": known.of_kind("tag"),
        "description": known.facets.get(DESCRIPTION) or "",
        "paused": paused_of(pause),
        "created_at": known.created_at,
        "first_seen_at": known.first_seen_at,
        "deleted_at": known.deleted_at,
    }
