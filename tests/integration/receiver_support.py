"""A real receiver over real HTTP: uvicorn in a thread, SQLite in a file, hints kept in a list."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import uvicorn

from steward.journal.opening import open_journal
from steward.journal.store import Journal
from steward.ports import Hint
from steward.settings import Settings
from tests.servers import eventually
from webhook_receiver.app import create_app, house_routing

SECRET = "a-webhook-secret"


class Receiver:
    """One receiver: its journal, the hints it sent, and a client that may only read."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self.settings = settings
        self.journal = journal
        self.hints: list[Hint] = []
        self.app = create_app(settings, hint=self.hints.extend, journal=journal)
        config = uvicorn.Config(self.app, port=0, log_config=None, access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self.url = ""

    def start(self) -> "Receiver":
        self._thread.start()
        eventually(lambda: self._server.started)
        host, port = self._server.servers[0].sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=20)
        return self

    def stop(self) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join(15)
        self.journal.close()

    def deliver(self, document: Any, *, delivery_id: str | None = None) -> httpx.Response:
        """A delivery as MLflow signs it."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.client.post(
            "/webhooks/mlflow", content=body, headers=signed(body, delivery_id=delivery_id)
        )


@contextmanager
def receiver(data_dir: Path, **settings: Any) -> Iterator[Receiver]:
    """A receiver that runs until the block ends."""
    chosen = Settings(_env_file=None, data_dir=data_dir, webhook_secrets=SECRET, **settings)
    running = Receiver(chosen, open_journal(chosen, house_routing())).start()
    try:
        yield running
    finally:
        running.stop()


def signed(
    body: bytes,
    *,
    delivery_id: str | None = None,
    secret: str = SECRET,
    timestamp: int | None = None,
) -> dict[str, str]:
    """The headers of one delivery of MLflow."""
    delivery_id = delivery_id or str(uuid4())
    when = str(int(time.time()) if timestamp is None else timestamp)
    content = f"{delivery_id}.{when}.".encode() + body
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "x-mlflow-delivery-id": delivery_id,
        "x-mlflow-timestamp": when,
        "x-mlflow-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def payload(event: str, **data: Any) -> Mapping[str, Any]:
    """MLflow's payload of one event about the model ``fraud``."""
    entity, action = event.split(".")
    return {
        "entity": entity,
        "action": action,
        "timestamp": "2026-03-01T12:00:00+00:00",
        "data": {"name": "fraud", **data},
    }


def created(version: str = "1", name: str = "fraud", **data: Any) -> Mapping[str, Any]:
    """A version was registered."""
    fields = {"source": "models:/m-1", "run_id": None, "tags": {}, "description": None}
    return payload("model_version.created", **{"name": name, "version": version, **fields, **data})
