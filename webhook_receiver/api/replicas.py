"""Replicas: what each should serve and does, and their registrations and heartbeats."""

from datetime import UTC, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from steward import signing
from steward.errors import DeliveryRejected
from steward.events import ModelRef
from steward.journal import catalog, fleet
from steward.journal.fleet import Heartbeat
from webhook_receiver.api.access import ThisCaller, is_this_machine
from webhook_receiver.api.query import KNOWN_PARAMETERS, example, shown
from webhook_receiver.door import read_body
from webhook_receiver.problems import ProblemError
from webhook_receiver.room import Room, ThisRoom

router = APIRouter(prefix="/api/v1", tags=["replicas"])
Word = Annotated[str, Field(max_length=512)]

_REPLICA = {
    "id": "fraud-host-9001",
    "model": "fraud",
    "registry": "default",
    "workspace": "",
    "url": "http://host:9001",
    "version": "6",
    "generation": 3,
    "state": "ready",
    "is_live": True,
    "is_current": True,
    "last_error": None,
    "started_at": "2026-03-01T11:00:00+00:00",
    "seen_at": "2026-03-01T12:00:00+00:00",
    "desired": {"version": "6", "generation": 3},
}


class Beat(BaseModel):
    """What a replica tells about itself."""

    model: Word = Field(min_length=1)
    registry: Word = "default"
    workspace: Word = ""
    url: str = Field(max_length=2000, pattern=r"^https?://")
    version: Annotated[str, Field(max_length=64)] | None = None
    generation: int = Field(0, ge=0, lt=2**31)
    state: Literal["empty", "loading", "ready", "stopping"]
    boot_id: str = Field("", max_length=64)
    started_at: AwareDatetime | None = None
    last_error: str | None = Field(None, max_length=4000)


@router.get(
    "/replicas",
    summary="Desired and actual version of every replica",
    dependencies=[KNOWN_PARAMETERS],
    responses=example({"items": [_REPLICA]}),
)
def list_replicas(room: ThisRoom, caller: ThisCaller, model: str | None = None) -> dict[str, Any]:
    """Those heard of in the last hour; `is_live` is false after 15 s without a heartbeat.

    `is_current` compares with `desired`, or with Production where Steward desires nothing.
    """
    items = [
        item
        for item in _items(room)
        if caller.may_read(item["model"]) and model in (None, item["model"])
    ]
    return {"items": items}


@router.put(
    "/replicas/{replica_id}",
    summary="A replica's registration and heartbeat",
    responses={
        200: shown(
            {"desired": {"model": "fraud", "version": "6", "generation": 3}},
            "What it should serve; null while nothing is decided",
        ),
        401: {"description": "The signature is missing, wrong or stale"},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": Beat.model_json_schema()}},
        }
    },
)
async def put_replica(request: Request, room: ThisRoom, replica_id: str) -> dict[str, Any]:
    """Signed by the Standard Webhooks recipe with `STEWARD_REPLICA_SECRETS`.

    The `webhook-id` begins with the call it is for: `PUT /api/v1/replicas/<id>|`, then a UUID.
    Where no secret is set, this machine alone may call.
    """
    body = await read_body(dict(request.scope["headers"]), request.receive)
    _verify(request, room, replica_id, body)
    if len(replica_id) > 255:  # noqa: PLR2004  # the journal's column
        raise ProblemError(422, "invalid", "A replica's id is at most 255 characters.")
    try:
        beat = Beat.model_validate_json(body)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        )
        raise ProblemError(422, "invalid", f"The heartbeat has the wrong form: {wrong}.") from error
    told = (replica_id, *(text for text in beat.model_dump().values() if isinstance(text, str)))
    if any("\0" in text for text in told):  # PostgreSQL refuses it, with all that is written beside
        raise ProblemError(422, "invalid", "The heartbeat holds a NUL character.")
    desired = await room.heartbeats.take(_heartbeat(replica_id, beat))
    if desired is None:
        return {"desired": None}
    return {
        "desired": {
            "model": desired.model.name,
            "version": desired.version,
            "generation": desired.generation,
        }
    }


def fleet_of(room: Room, model: ModelRef) -> dict[str, Any]:
    """What a model's replicas should serve, and each of them."""
    desired = fleet.all_desired(room.journal).get(model)
    mine = (model.name, model.registry, model.workspace)
    return {
        "desired": {"version": desired.version, "generation": desired.generation}
        if desired
        else None,
        "replicas": [
            item
            for item in _items(room)
            if (item["model"], item["registry"], item["workspace"]) == mine
        ],
    }


def _items(room: Room) -> list[dict[str, Any]]:
    now, beats = fleet.all_replicas(room.journal)
    wanted = fleet.all_desired(room.journal)
    champions = catalog.champions(room.journal, {beat.model for beat in beats} - wanted.keys())
    since = now - timedelta(seconds=fleet.LIVE_SECONDS)
    items = []
    for beat in beats:
        desired = wanted.get(beat.model)
        follows = desired.version if desired else champions.get(beat.model)
        items.append(
            {
                "id": beat.id,
                "model": beat.model.name,
                "registry": beat.model.registry,
                "workspace": beat.model.workspace,
                "url": beat.url,
                "version": beat.version,
                "generation": beat.generation,
                "state": beat.state,
                "is_live": beat.seen_at >= since and beat.state != "stopping",
                "is_current": follows is not None and follows == beat.version,
                "last_error": beat.last_error,
                "started_at": beat.started_at,
                "seen_at": beat.seen_at,
                "desired": {"version": desired.version, "generation": desired.generation}
                if desired
                else None,
            }
        )
    return items


def _verify(request: Request, room: Room, replica_id: str, body: bytes) -> None:
    secrets = room.settings.secret_bytes("replica")
    if secrets:
        path = f"/api/v1/replicas/{quote(replica_id, safe='')}"
        signing.verify_request(secrets, request.headers, body, method="PUT", path=path)
    elif not is_this_machine(request):
        raise DeliveryRejected(
            401,
            "bad_signature",
            "Without STEWARD_REPLICA_SECRETS only replicas on this machine may register.",
        )


def _heartbeat(replica_id: str, beat: Beat) -> Heartbeat:
    return Heartbeat(
        id=replica_id,
        model=ModelRef(beat.model, beat.registry, beat.workspace),
        url=beat.url,
        version=beat.version,
        generation=beat.generation,
        state=beat.state,
        boot_id=beat.boot_id,
        started_at=beat.started_at.astimezone(UTC) if beat.started_at else None,
        last_error=beat.last_error,
    )
