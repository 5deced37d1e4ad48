"""What a replica says of itself: alive, ready, which version, metrics."""

from importlib.metadata import version as version_of

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from serving.problem import problem
from serving.room import room_of
from serving.slot import Slot
from serving.telemetry import CHAMPION

router = APIRouter()


@router.get("/healthz")
@router.get("/health", include_in_schema=False)
@router.get("/ping", include_in_schema=False)
@router.get("/v2/health/live", include_in_schema=False)
async def healthz() -> dict[str, bool]:
    """The process is alive."""
    return {"live": True}


@router.get("/readyz")
@router.get("/v2/health/ready", include_in_schema=False)
async def readyz(request: Request) -> Response:
    """There is a version to serve. Loading another one never changes that."""
    room = room_of(request)
    champion = room.reloader.table.champion
    if champion is None:
        return problem(503, "Not ready", room.reloader.last_error or "Nothing is loaded yet.")
    return JSONResponse({"ready": True, "version": champion.version})


@router.get("/model")
async def model(request: Request) -> dict[str, object]:
    """What is served, since when, as of which generation, and what went wrong last."""
    room = room_of(request)
    identity, reloader = room.identity, room.reloader
    table = reloader.table
    return {
        "model": identity.model.name,
        "registry": identity.model.registry,
        "workspace": identity.model.workspace,
        "version": _version(table.champion),
        "variants": {CHAMPION: table.champion.version} if table.champion else {},
        "since": table.since.isoformat() if table.since else None,
        "generation": table.generation,
        "state": reloader.state,
        "loading": reloader.loading,
        "previous": _version(table.previous),
        "prepared": _version(table.prepared),
        "last_error": reloader.last_error,
        "replica_id": identity.id,
        "boot_id": identity.boot_id,
        "started_at": identity.started_at.isoformat(),
    }


@router.get("/version")
async def version() -> PlainTextResponse:
    """The version of MLflow, as its own scoring server answers it."""
    return PlainTextResponse(version_of("mlflow"))


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    return Response(room_of(request).telemetry.render(), media_type=CONTENT_TYPE_LATEST)


def _version(slot: Slot | None) -> str | None:
    return slot.version if slot else None
