"""POST .../replay: an operator asks again, for one event or a filter; or what would happen."""

from collections import Counter
from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from steward.errors import NotFoundError
from steward.events import Event
from steward.journal import batches, replay
from webhook_receiver.api.access import Caller, ThisCaller
from webhook_receiver.api.events import find_event
from webhook_receiver.api.preview import sentences
from webhook_receiver.api.query import EventQuery, shown
from webhook_receiver.problems import ProblemError
from webhook_receiver.room import Room, ThisRoom

MOST_EVENTS = 10_000
MOST_STEPS_TOLD = 1000
router = APIRouter(prefix="/api/v1", tags=["replay"])

_EXAMPLE = {
    "dry_run": True,
    "events": 1,
    "counts": {"replay": 1},
    "batch": None,
    "steps": [
        {
            "event_id": "019a9d5e-4c1f-7c3a-8f0e-2f9f5f3f9a11",
            "event_type": "model_version.validated",
            "handler": "promote",
            "target": "",
            "state": "dead",
            "action": "replay",
            "run": 2,
            "dispatch_id": "019a9d5e-5a00-7f00-9c1d-0d2a6c1b7e42",
            "would": "Would compare version 7 with Production (version 6) and promote it only if "
            "it wins by the policy in force.",
        }
    ],
}
_CANCEL_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: shown({"batch": "7d9b62f0c1aa", "cancelled": 912, "left": 88}, "Nothing more begins"),
    404: {"description": "There was no such batch"},
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: shown(_EXAMPLE, "`dry_run`: what would be done"),
    202: shown(_EXAMPLE | {"dry_run": False}, "Done: the dispatches are pending again"),
    409: {"description": "Everything that was asked for is running"},
}


class ReplayBody(BaseModel):
    """What to do again: `failed` takes dead dispatches, `all` every one that ended."""

    model_config = ConfigDict(extra="forbid")

    handlers: list[str] | None = Field(None, description="These handlers alone")
    mode: Literal["failed", "all"] = "failed"
    reason: str = Field("", max_length=2000)
    dry_run: bool = False


class BulkReplayBody(ReplayBody):
    """The same for every event of a filter; an empty filter needs `all`."""

    filter: EventQuery = Field(default_factory=EventQuery)
    all: bool = False
    rate: float = Field(
        20.0, gt=0, le=100, description="How many dispatches begin in a second, at most"
    )


@router.post(
    "/events/{event_id}/replay", summary="Replay one event", responses=_ANSWERS, status_code=202
)
def replay_event(
    room: ThisRoom, caller: ThisCaller, event_id: str, body: ReplayBody, response: Response
) -> dict[str, Any]:
    """Registry writes and reloads that stand already are not repeated; messages are sent again."""
    event = find_event(room, caller, event_id)
    return _replay(room, caller, [event], body, response)


@router.post(
    "/replay", summary="Replay every event of a filter", responses=_ANSWERS, status_code=202
)
def replay_many(
    room: ThisRoom, caller: ThisCaller, body: BulkReplayBody, response: Response
) -> dict[str, Any]:
    """Oldest first, `rate` dispatches a second, behind all other work; at most 10000 events.

    Ask with `dry_run` before. `counts` is of all; `steps` lists the first 1000. `batch` names it
    for `DELETE /api/v1/replay/{batch}`.
    """
    which = body.filter.to_filter()
    if which.is_empty and not body.all:
        raise ProblemError(
            422, "empty_filter", 'The filter is empty; to replay everything, say "all": true.'
        )
    chosen = replay.choose(room.journal, which, limit=MOST_EVENTS + 1)
    if len(chosen) > MOST_EVENTS:
        raise ProblemError(
            422, "too_many", f"More than {MOST_EVENTS} events match; narrow the filter."
        )
    return _replay(room, caller, chosen, body, response, rate=body.rate)


@router.delete("/replay/{batch}", summary="Cancel the rest of a replay", responses=_CANCEL_ANSWERS)
def cancel_replay(room: ThisRoom, caller: ThisCaller, batch: str) -> dict[str, Any]:
    """What has not begun is again as it was before; what has begun goes on."""
    try:
        for model in batches.models_of(room.journal, batch):
            caller.need("operator", model)
        done = batches.cancel(room.journal, batch, actor=caller.name)
    except NotFoundError as error:
        raise ProblemError(404, "no_such_batch", str(error)) from error
    return {"batch": batch, "cancelled": done.cancelled, "left": done.left}


def _replay(
    room: Room,
    caller: Caller,
    chosen: list[Event],
    body: ReplayBody,
    response: Response,
    *,
    rate: float | None = None,
) -> dict[str, Any]:
    _check_handlers(room, body.handlers)
    chosen = [event for event in chosen if caller.may_read(_model(event))]
    if not body.dry_run:
        for model in {_model(event) for event in chosen} or {None}:
            caller.need("operator", model)
    batch = None
    if body.dry_run:
        response.status_code = 200
        steps = replay.plan(room.journal, chosen, handlers=body.handlers, mode=body.mode)
    else:
        asked: dict[str, Any] = {
            "handlers": body.handlers,
            "mode": body.mode,
            "actor": caller.name,
            "reason": body.reason,
        }
        if rate is None:
            steps, hints = replay.apply(room.journal, chosen, **asked)
        else:
            batch, steps, hints = batches.apply(room.journal, chosen, rate=rate, **asked)
        room.hint(hints)
    counts = Counter(step.action for step in steps)
    if not body.dry_run and counts and set(counts) == {"refuse"}:
        raise ProblemError(
            409, "running", "Everything that was asked for is running now; ask again when it ended."
        )
    documents = [asdict(step) for step in steps[:MOST_STEPS_TOLD]]
    if body.dry_run:
        by_id = {event.id: event for event in chosen}
        told = sentences(room.journal, steps[:MOST_STEPS_TOLD], by_id)
        for document, would in zip(documents, told, strict=True):
            document["would"] = would
    return {
        "dry_run": body.dry_run,
        "events": len(chosen),
        "counts": dict(counts),
        "batch": batch,
        "steps": documents,
    }


def _model(event: Event) -> str | None:
    return event.model.name if event.model else None


def _check_handlers(room: Room, names: list[str] | None) -> None:
    routes = room.journal.routing.routes.values()
    valid = sorted({name for handlers in routes for name in handlers})
    unknown = sorted(set(names or ()) - set(valid))
    if unknown:
        raise ProblemError(
            422,
            "unknown_handler",
            f"There is no handler {', '.join(unknown)}; the handlers are {', '.join(valid)}.",
            valid=valid,
        )
