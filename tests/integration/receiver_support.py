"""A real receiver over real HTTP: uvicorn in a thread, SQLite in a file, hints kept in a list."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from steward.journal import audit
from steward.journal.opening import open_journal
from steward.journal.store import Journal
from steward.ports import Hint
from steward.settings import Settings
from tests.deliveries import SECRET, signed
from tests.servers import FORGETFUL, eventually
from tests.unit.journal_support import migrated_journal
from webhook_receiver.app import create_app, house_routing


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
        eventually(lambda: self._server.started, 30)
        host, port = self._server.servers[0].sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=20, limits=FORGETFUL)
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


def at_a_shell(
    running: Receiver, monkeypatch: pytest.MonkeyPatch, owner: str = "ada"
) -> dict[str, str]:
    """Let this process speak for an operator; returns the header that does so over HTTP."""
    secret, _ = audit.create_token(running.journal, owner=owner, role="operator")
    monkeypatch.setenv("STEWARD_URL", running.url)
    monkeypatch.setenv("STEWARD_TOKEN", secret)
    return {"authorization": f"Bearer {secret}"}


@contextmanager
def receiver(data_dir: Path, **settings: Any) -> Iterator[Receiver]:
    """A receiver that runs until the block ends."""
    chosen = Settings(_env_file=None, data_dir=data_dir, webhook_secrets=SECRET, **settings)
    file = data_dir / "steward.db"
    if chosen.journal_url == f"sqlite:///{file}" and not file.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        file.write_bytes(migrated_journal())
    running = Receiver(chosen, open_journal(chosen, house_routing())).start()
    try:
        yield running
    finally:
        running.stop()
