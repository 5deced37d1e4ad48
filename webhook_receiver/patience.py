"""Connections that nobody can hold by being slow: a request arrives in ten seconds or is let go.

uvicorn limits only the time between two requests. One whose head or body trickles, or never comes,
would keep its descriptor for good; enough of those, and no delivery gets in. ``app.run`` uses it.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from prometheus_client import Counter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from webhook_receiver.problems import problem

REQUEST_SECONDS = 10.0
"""From the first byte of a request (or the connection, before any) to the last of its body."""
LET_GO = Counter("steward_slow_requests_total", "Connections closed: their request did not arrive")


class PatientProtocol(HttpToolsProtocol):
    """One connection. How long its answers take is not limited here: some wait for a verdict."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._is_awaited = True
        self._has_begun = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._is_awaited = self._has_begun = True
        super().data_received(data)
        if self._is_awaited and self._deadline is None:  # most requests arrive in one piece
            self._arm()

    def on_message_begin(self) -> None:
        self._is_awaited = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._is_awaited = False
        self._disarm()
        super().on_message_complete()

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._let_go)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _let_go(self) -> None:
        cycle = self.cycle
        is_head_missing = cycle is None or not cycle.more_body
        if self.pipeline or (cycle and is_head_missing and not cycle.response_complete):
            self._arm()  # it waits behind a request that we are still answering
            return
        if self.transport.is_closing():
            return
        LET_GO.inc()
        if self._has_begun and (is_head_missing or not cycle.response_started):
            self.transport.write(_TOO_SLOW)
        self.transport.close()


def _too_slow() -> bytes:
    detail = f"The request did not arrive within {REQUEST_SECONDS:g} s; send it whole."
    answer = problem(HTTPStatus.REQUEST_TIMEOUT, detail, code="too_slow")
    headers = [*answer.raw_headers, (b"connection", b"close")]
    lines = [b"HTTP/1.1 408 Request Timeout", *(name + b": " + value for name, value in headers)]
    return b"\r\n".join([*lines, b"", bytes(answer.body)])


_TOO_SLOW = _too_slow()
