"""GET .../explain: the causal chain from registration to what each replica serves, now or then."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from handlers import next_steps
from steward.events import Event, EventType
from steward.journal import catalog, crowding, history, past, queries, verdicts
from steward.journal.catalog import KnownModel
from steward.journal.facets import STAGE
from steward.journal.past import Snapshot
from steward.moments import moment_of
from steward.policy import Policy
from steward.ports import Verdict
from webhook_receiver.api.access import ThisCaller
from webhook_receiver.api.events import attempt_of, dispatch_of
from webhook_receiver.api.explained import EXPLAINED
from webhook_receiver.api.models import (
    ThisPlace,
    find_model,
    paused_of,
    policy_of,
    unknown_version,
    verdict_of,
)
from webhook_receiver.api.query import KNOWN_PARAMETERS, example
from webhook_receiver.api.replicas import fleet_of
from webhook_receiver.api.sections import sections_of
from webhook_receiver.api.sentences import sentence_of
from webhook_receiver.api.standing import dispatch_then, stage_then, verdict_then
from webhook_receiver.problems import ProblemError
from webhook_receiver.room import Room, ThisRoom

router = APIRouter(prefix="/api/v1/models", tags=["models"], dependencies=[KNOWN_PARAMETERS])


@router.get(
    "/{name}/explain",
    summary="Why a version is where it is, or was at a time",
    responses=example(EXPLAINED),
)
def explain(  # noqa: PLR0917  # FastAPI fills them in
    room: ThisRoom,
    caller: ThisCaller,
    name: str,
    place: ThisPlace,
    version: Annotated[str | None, Query(max_length=64, description="Default: Production")] = None,
    at: Annotated[
        str | None,
        Query(max_length=64, description="As it was then: ISO 8601, or how long ago (`2d`, `3h`)"),
    ] = None,
) -> dict[str, Any]:
    """Without a version: Production (of that time), or else the newest.

    `sections` tell it by subject. Each step is an event with its dispatches, their attempts and
    effects, oldest first; `now` is what came of it. With `at` steps and sections end then, and
    `then` says what was Production, and the version's verdict and stage.
    """
    known = find_model(room, caller, place.model(name))
    with room.journal.read() as connection:
        moment = _moment(at, room.journal.now(connection))
        production = None
        if moment:
            changes = past.champion_changes(connection, known.model)
            production = past.production_at(known, changes, moment)
        version = version or _meant(connection, known, production, moment)
        events = catalog.causal_events(connection, known.model, version)
        facets = catalog.version_facets(connection, known, version)
        if not events and not facets:
            raise unknown_version(known.model, version)
        told = [each for each in events if moment is None or each.occurred_at <= moment]
        dispatches = queries.dispatches_of(connection, [event.id for event in told])
        steps = _steps(connection, told, dispatches, moment)
        now = _now(room, connection, known, version)
    then = None
    if moment and production:
        then = _production_then(production, version, moment) | {
            "verdict": verdict_then(version, told, dispatches, moment),
            "stage": stage_then(version, events, moment, now=facets.get(STAGE, "None")),
        }
    return {
        "model": known.model.name,
        "version": version,
        "at": moment,
        "then": then,
        "sections": sections_of(version, told, steps),
        "steps": steps,
        "now": now | fleet_of(room, known.model),
    }


def _now(room: Room, connection: Snapshot, known: KnownModel, version: str) -> dict[str, Any]:
    """Where model and version stand at present, replicas apart."""
    policy = catalog.governing(connection, known)
    verdict = verdicts.standing_verdict(connection, known.model, version)
    return {
        "production": known.production,
        "several_in_production": crowding.crowds(connection, [known]).get(known.id, []),
        "is_production": known.production == version,
        "paused": paused_of(history.pause_of(connection, known.model)),
        "verdict": verdict_of(verdict),
        "next": _next(known, version, verdict, policy),
        "policy": policy_of(room, policy),
    }


def _next(known: KnownModel, version: str, verdict: Verdict | None, policy: Policy) -> list[str]:
    """What would end the wait of a version that waits; a decision holds its own steps."""
    if verdict is None or verdict.code != "waiting":
        return []
    return next_steps.while_waiting(verdict.reasons[0], known.model.name, version, policy)


def _moment(at: str | None, now: datetime) -> datetime | None:
    if at is None:
        return None
    try:
        moment = moment_of(at, now)
    except ValueError as error:
        raise ProblemError(422, "invalid", f"query.at: {error}") from error
    if moment > now:
        told = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        raise ProblemError(
            422, "invalid", f"query.at: {told} has not come yet; leave it out to see the present."
        )
    return moment


def _meant(
    connection: Snapshot,
    known: KnownModel,
    then: past.ProductionThen | None,
    moment: datetime | None,
) -> str:
    """The version that a question without one is about: Production, or else the newest."""
    if then and then.version:
        return then.version
    if moment is None and known.production:
        return known.production
    types = (EventType.VERSION_CREATED,)
    registered = queries.events_of(connection, known.model, types=types) if moment else []
    earlier = [each for each in registered if moment and each.occurred_at <= moment]
    newest = max(earlier, key=lambda each: each.occurred_at, default=None)
    version = newest.version if newest else next(iter(catalog.versions_of(connection, known)), None)
    if version is None:
        raise ProblemError(404, "unknown_version", f"{known.model.name} has no version yet.")
    return version


def _steps(
    connection: Snapshot,
    events: list[Event],
    dispatches: dict[str, list[Any]],
    moment: datetime | None,
) -> list[dict[str, Any]]:
    ids = [row.id for rows in dispatches.values() for row in rows]
    attempts = queries.attempts_of(connection, ids)
    effects = catalog.effects_of(connection, ids)

    def tell(row: Any) -> dict[str, Any]:
        told = dispatch_of(row) | {
            "attempts": [attempt_of(each) for each in attempts.get(row.id, [])],
            "effects": effects.get(row.id, []),
        }
        return told if moment is None else dispatch_then(told, moment)

    return [
        {
            "time": event.occurred_at,
            "type": event.type,
            "sentence": sentence_of(event),
            "event_id": event.id,
            "caused_by": event.caused_by,
            "version": event.version,
            "seen_by": event.seen_by,
            "dispatches": [
                tell(row)
                for row in dispatches.get(event.id, [])
                if moment is None or row.created_at <= moment
            ],
        }
        for event in events
    ]


def _production_then(then: past.ProductionThen, version: str, moment: datetime) -> dict[str, Any]:
    """What was Production: a version, `empty`, or `unknown` before the journal could know."""
    known = then.version or "empty"
    return {
        "at": moment,
        "production": then.version,
        "production_is_known": then.is_known,
        "production_told": known if then.is_known else "unknown",
        "production_since": then.changed_by.occurred_at if then.changed_by else None,
        "production_event_id": then.changed_by.id if then.changed_by else None,
        "is_production": then.is_known and then.version == version,
    }
