"""The replica's web application: composes the parts; ``serving/process.py`` runs it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import httpx
from fastapi import FastAPI

from serving import control, scoring, status
from serving.files import ModelFiles
from serving.heartbeat import Heartbeat, Identity
from serving.loader import FileLoader, Loader
from serving.predict import Predictor
from serving.reload import Reloader
from serving.room import Room
from serving.telemetry import Telemetry
from serving.trial import Trial
from steward.errors import TransientError
from steward.events import ModelRef, uuid7
from steward.settings import Settings


def create_app(
    settings: Settings,
    *,
    model: str,
    registry: str = "default",
    workspace: str = "",
    replica_id: str,
    url: str,
    loader: Loader | None = None,
    receiver: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """A replica of one model, which the receiver knows as ``replica_id`` and reaches at ``url``.

    ``loader`` and ``receiver`` replace the real files and the real receiver in tests.
    """
    ref = ModelRef(model, registry, workspace)
    identity = Identity(replica_id, ref, url, boot_id=uuid7(), started_at=datetime.now(UTC))
    secrets = settings.secret_bytes("replica")
    predictor = Predictor()
    telemetry = Telemetry(model, predictor.depth)
    files = ModelFiles(settings.data_dir, ref, settings.mlflow_tracking_uri)
    trial = Trial(seconds=settings.load_seconds, memory_mb=settings.load_memory_mb)
    reloader = Reloader(loader or FileLoader(files, trial), telemetry)
    heartbeat = Heartbeat(
        identity,
        reloader,
        receiver_url=settings.receiver_url,
        secret=secrets[0] if secrets else None,
        transport=receiver,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if loader is None:
            with suppress(TransientError):  # the first load tries again, and says so
                trial.warm()  # else the first order waits for its start
        beats = asyncio.create_task(heartbeat.run())
        yield
        await heartbeat.leave()
        beats.cancel()
        with suppress(asyncio.CancelledError):
            await beats
        await heartbeat.close()
        reloader.close()
        predictor.close()

    app = FastAPI(title="Steward replica", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.room = Room(identity, reloader, predictor, telemetry, secrets)
    app.state.heartbeat = heartbeat
    for module in (scoring, control, status):
        app.include_router(module.router)
    return app
