"""What the receiver is compared with: an endpoint that does nothing, and the usual plain receiver.

Run as ``python -m benchmarks.baselines noop|plain PORT``.
"""

import os
import sys
import time

import uvicorn
from celery import Celery
from fastapi import FastAPI, HTTPException, Request
from starlette.concurrency import run_in_threadpool

from steward.signing import verify

SECRET = b"benchmark-secret"


def noop() -> FastAPI:
    """Reads the body and answers: the most that this stack can take."""
    app = FastAPI()

    @app.put("/{_path:path}")
    @app.post("/{_path:path}", status_code=202)
    async def receive(request: Request, _path: str) -> dict[str, bool]:
        await request.body()
        return {"ok": True}

    return app


def plain() -> FastAPI:
    """FastAPI that verifies, then calls ``Celery.send_task``: what teams write. Nothing durable."""
    app = FastAPI()
    celery = Celery("plain", broker=os.environ["STEWARD_BROKER_URL"])

    @app.post("/webhooks/mlflow", status_code=202)
    async def receive(request: Request) -> dict[str, bool]:
        body = await request.body()
        headers = request.headers
        try:
            verify(
                [SECRET],
                message_id=headers["x-mlflow-delivery-id"],
                timestamp=headers["x-mlflow-timestamp"],
                signature=headers["x-mlflow-signature"],
                body=body,
            )
        except Exception as error:
            raise HTTPException(401) from error
        event = await request.json()
        await run_in_threadpool(
            celery.send_task, "handle", args=[event, time.time()], queue="plain"
        )
        return {"ok": True}

    return app


if __name__ == "__main__":
    uvicorn.run(
        {"noop": noop, "plain": plain}[sys.argv[1]](),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
    )
