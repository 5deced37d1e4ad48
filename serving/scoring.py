"""``POST /invocations``: MLflow's scoring protocol, with the headers that say who answered."""

import time
from uuid import uuid4

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serving.predict import BusyError
from serving.problem import problem
from serving.room import Room, room_of
from serving.slot import ScoringError, Slot
from serving.telemetry import CHAMPION

_REQUEST_ID_LIMIT = 128
router = APIRouter()


@router.post("/invocations")
async def invocations(request: Request) -> Response:
    """Predict with the version that is served when the request's body has arrived."""
    started = time.perf_counter()
    room = room_of(request)
    request_id = _request_id(request)
    body = await request.body()
    slot = room.reloader.table.champion  # read once: a swap from here on does not touch us
    if slot is None:
        response: Response = problem(
            503,
            "Nothing to serve",
            f"No version of {room.identity.model} is loaded yet.",
            headers={"Retry-After": "1"},
        )
    else:
        response = await _score(room, slot, request, body, started)
        response.headers["X-Model-Version"] = slot.version
        response.headers["X-Model-Variant"] = CHAMPION
    response.headers["X-Model-Name"] = room.identity.model.name
    response.headers["X-Request-Id"] = request_id
    return response


async def _score(room: Room, slot: Slot, request: Request, body: bytes, started: float) -> Response:
    content_type = request.headers.get("content-type") or "application/json"
    try:
        answer = await room.predictor.score(slot, body, content_type)
    except BusyError as error:
        room.telemetry.refused_busy(slot.version)
        seconds = str(int(error.retry_after_seconds or 1))
        return problem(503, "Too busy", str(error), headers={"Retry-After": seconds})
    except ScoringError as error:
        response: Response = problem(
            error.status,
            "The request cannot be scored",
            str(error),
            error_code=error.code,  # these two are what MLflow's own server answers
            message=str(error),
        )
    else:
        response = Response(answer.body, answer.status, media_type=answer.media_type)
    room.telemetry.answered(slot.version, response.status_code, time.perf_counter() - started)
    return response


def _request_id(request: Request) -> str:
    """The caller's id, if it is one that can stand in a header; else a new one."""
    given = request.headers.get("x-request-id", "")
    if 0 < len(given) <= _REQUEST_ID_LIMIT and given.isascii() and given.isprintable():
        return given
    return str(uuid4())
