"""A TCP proxy that misbehaves on demand, between two processes of a test.

It forwards bytes as they come. What it may do to them is what networks do: freeze connections so
that neither side hears of it, reset them, refuse new ones, delay, trickle, or swallow one answer
after the request was carried out (the ambiguous write).
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from tests.servers import serving_beside

CHUNK = 65_536


@dataclass(eq=False)
class _Pair:
    """One client connection and its counterpart."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    thawed: asyncio.Event = field(default_factory=asyncio.Event)
    swallows: bool = False
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)


class ChaosProxy:
    """Forwards a free loopback port to ``host:port``; ``running()`` serves in its own thread.

    With ``tls`` it speaks TLS to its clients, and to the server none.
    """

    def __init__(
        self, port: int, host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.target, self.tls = (host, port), tls
        self.port = 0
        self.accepted = 0
        self.swallowed = 0
        self._loop = asyncio.new_event_loop()
        self._pairs: set[_Pair] = set()
        self._transports: list[asyncio.WriteTransport] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._refuses = False
        self._freezes_new = False
        self._delay_seconds = 0.0
        self._chunk = CHUNK
        self._swallow: bytes | None = None
        self._swallow_left = 0

    # -- what a test asks for ---------------------------------------------------------------------

    def freeze(self, *, new: bool = False) -> None:
        """Forward nothing more on the connections there are (``new``: nor on later ones)."""
        self._do(self._freeze, new)

    def thaw(self) -> None:
        """Forward again, also what waited."""
        self._do(self._thaw)

    def cut(self) -> None:
        """Reset every connection; new ones pass."""
        self._do(self._cut)

    def half_close(self) -> None:
        """Tell every server that its client will send no more; answers still pass."""
        self._do(self._half_close)

    def refuse(self, *, on: bool = True) -> None:
        """Reset new connections at once."""
        self._refuses = on

    def delay(self, seconds: float) -> None:
        """Hold every chunk back for so long; 0 ends it."""
        self._delay_seconds = seconds

    def trickle(self, bytes_a_chunk: int | None) -> None:
        """Forward so few bytes at a time, each after the delay; None ends it."""
        self._chunk = bytes_a_chunk or CHUNK

    def swallow_answers(self, to: bytes, count: int = 1) -> None:
        """Let the next requests that contain ``to`` through, and reset instead of their answer."""
        self._swallow, self._swallow_left = to, count

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Serve in a thread of its own."""
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)
        )
        with serving_beside(self._loop, server, self._transports) as self.port:
            yield self

    # -- inside the loop --------------------------------------------------------------------------

    def _do(self, action: Callable[..., None], *args: Any) -> None:
        done = threading.Event()

        def act() -> None:
            try:
                action(*args)
            finally:
                done.set()

        self._loop.call_soon_threadsafe(act)
        assert done.wait(5), "the proxy's loop does not answer"

    def _freeze(self, new: bool) -> None:
        self._freezes_new = new
        for pair in self._pairs:
            pair.thawed.clear()

    def _thaw(self) -> None:
        self._freezes_new = False
        for pair in self._pairs:
            pair.thawed.set()

    def _cut(self) -> None:
        for pair in list(self._pairs):
            self._end(pair)

    def _half_close(self) -> None:
        for pair in self._pairs:
            with contextlib.suppress(OSError):
                pair.server.write_eof()

    def _end(self, pair: _Pair) -> None:
        self._pairs.discard(pair)
        for writer in (pair.client, pair.server):
            _reset(writer)
        for task in pair.tasks:
            task.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection; no coroutine, so that none is forgotten that never began to run."""
        self.accepted += 1
        self._transports.append(writer.transport)
        task = self._loop.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._refuses:
                _reset(writer)
                return
            if self.tls:
                await writer.start_tls(self.tls)
            server_reader, server_writer = await asyncio.open_connection(*self.target)
            self._transports.append(server_writer.transport)
            await self._forward(_Pair(writer, server_writer), reader, server_reader)
            server_writer.transport.close()
        except OSError:
            _reset(writer)
        writer.transport.close()

    async def _forward(
        self, pair: _Pair, reader: asyncio.StreamReader, server_reader: asyncio.StreamReader
    ) -> None:
        if not self._freezes_new:
            pair.thawed.set()
        self._pairs.add(pair)
        pair.tasks = [
            asyncio.create_task(self._pump(pair, reader, pair.server, is_request=True)),
            asyncio.create_task(self._pump(pair, server_reader, pair.client, is_request=False)),
        ]
        await asyncio.wait(pair.tasks)
        self._pairs.discard(pair)

    async def _pump(
        self,
        pair: _Pair,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        is_request: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(self._chunk):
                await pair.thawed.wait()
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                    await pair.thawed.wait()
                if is_request and self._swallow_left and self._swallow in data:
                    self._swallow_left -= 1
                    pair.swallows = True
                elif not is_request and pair.swallows:
                    self.swallowed += 1
                    self._end(pair)
                    return
                writer.write(data)
                await writer.drain()
            await pair.thawed.wait()
            if writer.can_write_eof():
                writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a peer that crashed."""
    with contextlib.suppress(OSError, AttributeError):
        sock: socket.socket | None = writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
