"""GET /api/v1/events and /api/v1/events/{id}: what was journalled, and what became of it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from steward.events import Event
from steward.journal import queries
from webhook_receiver.api.access import Caller, ThisCaller
from webhook_receiver.api.query import KNOWN_PARAMETERS, EventPageQuery, example
from webhook_receiver.problems import ProblemError
from webhook_receiver.room import Room, ThisRoom

router = APIRouter(prefix="/api/v1/events", tags=["events"])

EXAMPLE_EVENT = {
    "specversion": "1.0",
    "id": "019a9d5e-4c1f-7c3a-8f0e-2f9f5f3f9a11",
    "type": "model_version.created",
    "source": "mlflow/default",
    "subject": "fraud/7",
    "time": "2026-03-01T12:00:00.120000+00:00",
    "datacontenttype": "application/json",
    "registry": "default",
    "workspace": "",
    "model": "fraud",
    "version": "7",
    "recordedat": "2026-03-01T12:00:00.131000+00:00",
    "causedby": None,
    "seenby": "both",
    "data": {"name": "fraud", "version": "7", "before": None, "after": True},
    "status": "done",
    "seen_by": "both",
}


def item_of(event: Event, status: str | None = None) -> dict[str, Any]:
    """One event as the API lists it: CloudEvents JSON, its status, and how it was seen."""
    item = event.to_cloudevent() | {"seen_by": event.seen_by}
    return item | {"status": status} if status else item


@router.get(
    "",
    summary="List events, newest first",
    responses=example({"items": [EXAMPLE_EVENT], "next_cursor": "MTIzNA=="}),
)
def list_events(
    room: ThisRoom, caller: ThisCaller, query: Annotated[EventPageQuery, Query()]
) -> dict[str, Any]:
    """Follow `next_cursor` until it is null.

    A token that is limited to models sees their events alone; its pages may be shorter.
    """
    try:
        with room.journal.read() as connection:
            found, cursor = queries.list_events(
                connection, query.to_filter(), cursor=query.cursor, limit=query.limit
            )
    except (ValueError, OverflowError) as error:
        raise ProblemError(
            422, "invalid", "query.cursor: expected the next_cursor of an earlier page."
        ) from error
    items = [item_of(event, status) for event, status in found if caller.may_read(_model(event))]
    return {"items": items, "next_cursor": cursor}


@router.get(
    "/{event_id}",
    dependencies=[KNOWN_PARAMETERS],
    summary="One event, its deliveries, dispatches and what it caused",
    responses=example(
        {
            "event": EXAMPLE_EVENT,
            "status": "done",
            "deliveries": [{"sender": "mlflow", "outcome": "event"}],
            "dispatches": [{"handler": "validate", "state": "succeeded", "attempts": []}],
            "caused": [],
        }
    ),
)
def show_event(room: ThisRoom, caller: ThisCaller, event_id: str) -> dict[str, Any]:
    """Attempts are listed under their dispatch, oldest first."""
    event = find_event(room, caller, event_id)
    with room.journal.read() as connection:
        rows = queries.dispatches_of(connection, [event_id]).get(event_id, [])
        attempts = queries.attempts_of(connection, [row.id for row in rows])
        deliveries = queries.deliveries_of(connection, event_id)
        caused = queries.caused_by(connection, event_id)
        statuses = queries.dispatches_of(connection, [each.id for each in caused])
    return {
        "event": item_of(event),
        "status": queries.status_of(rows),
        "deliveries": [_delivery(row) for row in deliveries],
        "dispatches": [
            dispatch_of(row) | {"attempts": [attempt_of(each) for each in attempts.get(row.id, [])]}
            for row in rows
        ],
        "caused": [item_of(each, queries.status_of(statuses.get(each.id, []))) for each in caused],
    }


def find_event(room: Room, caller: Caller, event_id: str) -> Event:
    """The event, if it is there and the caller may see it. ProblemError (404) otherwise."""
    with room.journal.read() as connection:
        event = queries.get_event(connection, event_id)
    if event is None or not caller.may_read(_model(event)):
        raise ProblemError(404, "unknown_event", f"There is no event {event_id[:100]}.")
    return event


def dispatch_of(row: Any) -> dict[str, Any]:
    """One dispatch as the API shows it."""
    names = ("id", "handler", "target", "state", "note", "run", "lane", "queue", "due_at")
    later = ("wait_until", "owner", "failures", "created_at", "finished_at")
    return {name: getattr(row, name) for name in (*names, *later)} | {"tries": row.attempts}


def attempt_of(row: Any) -> dict[str, Any]:
    """One attempt as the API shows it; ``repeats`` counts waits that were alike."""
    names = ("run", "number", "outcome", "detail", "owner", "started_at", "ended_at", "repeats")
    return {name: getattr(row, name) for name in names}


def _delivery(row: Any) -> dict[str, Any]:
    names = ("sender", "delivery_id", "outcome", "reason", "sent_at", "received_at")
    body = (row.body or b"").decode(errors="replace")
    return {name: getattr(row, name) for name in names} | {"body": body}


def _model(event: Event) -> str | None:
    return event.model.name if event.model else None
