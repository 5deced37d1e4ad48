"""``POST /prepare`` and ``POST /reload``: what Steward tells a replica, signed."""

import ipaddress
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from serving.problem import problem
from serving.reload import Order, StaleOrderError
from serving.room import Room, room_of
from steward.errors import DeliveryRejected, PermanentError, TransientError
from steward.signing import verify_request

_BODY_LIMIT = 64 * 1024
router = APIRouter()


class Call(BaseModel):
    """The body of both calls. A version is never a path: it names a directory of the cache."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    model: str
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    generation: Annotated[int, Field(ge=0)]


@router.post("/prepare")
async def prepare(request: Request) -> Response:
    """Load and warm up a version beside what is served; what is served stays as it is."""
    room = room_of(request)
    try:
        call = await _verified(room, request, "/prepare")
        seconds = await room.reloader.prepare(call.version)
    except (DeliveryRejected, PermanentError, TransientError) as error:
        return _refusal(room, error)
    return JSONResponse(
        {**call.model_dump(), "seconds": round(seconds, 3), "serves": _serves(room)}
    )


@router.post("/reload")
async def reload(request: Request) -> Response:
    """Serve a version; answered once it is served."""
    room = room_of(request)
    try:
        call = await _verified(room, request, "/reload")
        previous = await room.reloader.reload(Order(call.version, call.generation))
    except (DeliveryRejected, StaleOrderError, PermanentError, TransientError) as error:
        return _refusal(room, error)
    return JSONResponse({**call.model_dump(), "previous": previous})


async def _verified(room: Room, request: Request, path: str) -> Call:
    """The call, if the caller may make it.

    Raises:
        DeliveryRejected: 401 or 403 not allowed; 413, 400 malformed; 404 another model.

    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise DeliveryRejected(413, "too_large", f"The body exceeds {_BODY_LIMIT} bytes.")
    if room.secrets:
        verify_request(room.secrets, request.headers, bytes(body), method="POST", path=path)
    elif not _is_local_program(request):
        raise DeliveryRejected(
            403, "not_local", "Without STEWARD_REPLICA_SECRETS only programs on this machine may."
        )
    try:
        call = Call.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DeliveryRejected(400, "malformed", f"{where or 'body'}: {first['msg']}") from error
    if call.model != room.identity.model.name:
        raise DeliveryRejected(
            404, "other_model", f"This replica serves {room.identity.model}, not {call.model}."
        )
    return call


def _is_local_program(request: Request) -> bool:
    """From this machine, and not sent by some web page through this machine's browser."""
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    return address.is_loopback and "origin" not in request.headers


def _refusal(room: Room, error: Exception) -> JSONResponse:
    serves = _serves(room)
    if isinstance(error, DeliveryRejected):
        return problem(error.status, "Refused", str(error), reason=error.reason)
    if isinstance(error, StaleOrderError):
        return problem(409, "Not the newest", str(error), reason="stale", **serves)
    if isinstance(error, PermanentError):
        return problem(422, "It does not load", str(error), reason="does_not_load", **serves)
    return problem(503, "It could not be fetched", str(error), reason="unavailable", **serves)


def _serves(room: Room) -> dict[str, Any]:
    table = room.reloader.table
    return {
        "model": room.identity.model.name,
        "version": table.champion.version if table.champion else None,
        "generation": table.generation,
    }
