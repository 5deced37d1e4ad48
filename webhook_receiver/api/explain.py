"""GET .../explain: the causal chain from registration to what each replica serves."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from steward.journal import catalog, history, queries
from webhook_receiver.api.access import ThisCaller
from webhook_receiver.api.events import attempt_of, dispatch_of
from webhook_receiver.api.models import (
    EXAMPLE_POLICY,
    EXAMPLE_VERDICT,
    ThisPlace,
    find_model,
    policy_of,
    unknown_version,
    verdict_of,
)
from webhook_receiver.api.query import KNOWN_PARAMETERS, example
from webhook_receiver.api.replicas import fleet_of
from webhook_receiver.api.sentences import sentence_of
from webhook_receiver.problems import ProblemError
from webhook_receiver.room import ThisRoom

router = APIRouter(prefix="/api/v1/models", tags=["models"], dependencies=[KNOWN_PARAMETERS])


@router.get(
    "/{name}/explain",
    summary="Why a version is where it is",
    responses=example(
        {
            "model": "fraud",
            "version": "7",
            "steps": [
                {
                    "time": "2026-03-01T12:00:00.120000+00:00",
                    "type": "model_version.created",
                    "sentence": "Version 7 was registered (told by a webhook).",
                    "event_id": "019a9d5e-4c1f-7c3a-8f0e-2f9f5f3f9a11",
                    "caused_by": None,
                    "version": "7",
                    "seen_by": "webhook",
                    "dispatches": [{"handler": "validate", "state": "succeeded", "attempts": []}],
                }
            ],
            "now": {
                "production": "6",
                "verdict": EXAMPLE_VERDICT,
                "policy": EXAMPLE_POLICY,
                "desired": None,
                "replicas": [],
            },
        }
    ),
)
def explain(  # noqa: PLR0917  # FastAPI fills them in
    room: ThisRoom,
    caller: ThisCaller,
    name: str,
    place: ThisPlace,
    version: Annotated[str | None, Query(max_length=64, description="Default: Production")] = None,
    at: Annotated[str | None, Query(description="Not answered yet")] = None,
) -> dict[str, Any]:
    """Without a version: Production, or else the newest.

    Each step is an event with its dispatches, their attempts and effects, oldest first; `now` is
    what came of it.
    """
    if at is not None:
        raise ProblemError(
            422,
            "not_available",
            "query.at: history at a time cannot be asked for yet; leave it out.",
        )
    known = find_model(room, caller, place.model(name))
    with room.journal.read() as connection:
        version = (
            version or known.production or next(iter(catalog.versions_of(connection, known)), None)
        )
        if version is None:
            raise ProblemError(404, "unknown_version", f"{name} has no version yet.")
        events = catalog.causal_events(connection, known.model, version)
        if not events and not catalog.version_facets(connection, known, version):
            raise unknown_version(known.model, version)
        dispatches = queries.dispatches_of(connection, [event.id for event in events])
        ids = [row.id for rows in dispatches.values() for row in rows]
        attempts = queries.attempts_of(connection, ids)
        effects = catalog.effects_of(connection, ids)
        policy = catalog.governing(connection, known)
        verdict = history.standing_verdict(connection, known.model, version)
    return {
        "model": known.model.name,
        "version": version,
        "steps": [
            {
                "time": event.occurred_at,
                "type": event.type,
                "sentence": sentence_of(event),
                "event_id": event.id,
                "caused_by": event.caused_by,
                "version": event.version,
                "seen_by": event.seen_by,
                "dispatches": [
                    dispatch_of(row)
                    | {
                        "attempts": [attempt_of(each) for each in attempts.get(row.id, [])],
                        "effects": effects.get(row.id, []),
                    }
                    for row in dispatches.get(event.id, [])
                ],
            }
            for event in events
        ],
        "now": {
            "production": known.production,
            "is_production": known.production == version,
            "verdict": verdict_of(verdict),
            "policy": policy_of(room, policy),
            **fleet_of(room, known.model),
        },
    }
