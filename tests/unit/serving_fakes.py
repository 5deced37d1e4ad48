"""A Loader without files, and a receiver without a network, for tests of a replica's rules."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

import httpx
from fastapi import FastAPI

from serving.slot import Answer, Slot, Table
from steward.errors import PermanentError, TransientError

T = TypeVar("T")


def slot(version: str, key: str | None = None) -> Slot:
    """A version whose every answer is its number."""
    return Slot(version, key or f"{version}-files", lambda _b, _t: Answer(version, 200, "text/x"))


class FakeLoader:
    """Loads any version at once, unless it is in ``broken``, ``away`` or ``held_back``."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.settled: list[Table] = []
        self.broken: set[str] = set()
        self.away: set[str] = set()
        self.held_back: dict[str, threading.Event] = {}
        self.registry_champion: str | None = None
        self.registry_is_away = False
        self.cached: str | None = None
        self.recreated: set[str] = set()

    def load(self, version: str, held: Slot | None) -> Slot:
        if held is not None and version not in self.recreated:
            return held
        self.loads.append(version)
        if version in self.held_back:
            assert self.held_back[version].wait(10)
        if version in self.broken:
            raise PermanentError(f"version {version} does not load")
        if version in self.away:
            raise TransientError(f"version {version} cannot be fetched")
        return slot(version, f"{version}-new" if held else None)

    def champion(self) -> str | None:
        if self.registry_is_away:
            raise TransientError("the registry is away")
        return self.registry_champion

    def last_known_good(self) -> Slot | None:
        return slot(self.cached) if self.cached else None

    def settle(self, table: Table) -> None:
        self.settled.append(table)


class FakeReceiver:
    """Keeps every heartbeat; answers with ``desired``, or not at all while ``is_away``."""

    def __init__(self) -> None:
        self.beats: list[dict[str, Any]] = []
        self.requests: list[httpx.Request] = []
        self.desired: dict[str, Any] | None = None
        self.is_away = False
        self.on_beat: Callable[[], None] = lambda: None

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.beats.append(json.loads(request.content))
        self.on_beat()
        if self.is_away:
            raise httpx.ConnectError("nobody there")
        return httpx.Response(200, json={"desired": self.desired})


class AppClient:
    """Calls an app without a socket; the app lives on an event loop in a thread of its own."""

    def __init__(self, app: FastAPI, *, caller: tuple[str, int]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._lifespan = app.router.lifespan_context(app)
        transport = httpx.ASGITransport(app, client=caller)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://replica")

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._lifespan.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._lifespan.__aexit__(None, None, None))
        self._wait(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def get(self, path: str) -> httpx.Response:
        return self._wait(self._client.get(path))

    def post(self, path: str, **content: Any) -> httpx.Response:
        return self._wait(self._client.post(path, **content))

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)
