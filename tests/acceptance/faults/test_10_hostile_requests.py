"""Fault 10: requests that are too large, gzipped bombs, nested without end, trickled, or never sent
at all, hundreds at once: each is refused or let go, and other senders hardly notice."""

import gzip
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

import psutil
import pytest

from tests.acceptance.faults.senders import (
    PATH,
    ask,
    connect,
    events_of,
    letter,
    request,
)
from tests.acceptance.faults.site import SECRET, Site
from tests.deliveries import payload, signed
from tests.servers import beside, eventually
from webhook_receiver.patience import REQUEST_SECONDS

BOMB_BYTES = 100 * 1024 * 1024
NORMAL = 150
TIMES_SLOWER, AT_LEAST_SECONDS = 3, 1.0
"""What other senders may notice: so many times the undisturbed p99, or a hiccup of this machine."""
LATE_SECONDS = 10.0
"""How much later than REQUEST_SECONDS a slow connection may end, on a machine with other work."""


def _bomb() -> bytes:
    body = gzip.compress(bytes(BOMB_BYTES))
    return request(body, {**signed(body, secret=SECRET), "content-encoding": "gzip"})


def _chunked(size: int) -> bytes:
    body = b" " * size
    head = request(b"", signed(body, secret=SECRET)).replace(
        b"content-length: 0", b"transfer-encoding: chunked"
    )
    return head + b"%x\r\n" % size + body + b"\r\n0\r\n\r\n"


_NESTED = "[" * 90 + "]" * 90
HOSTILE: dict[str, tuple[Callable[[], bytes], set[int]]] = {
    "300 kB": (lambda: letter(b" " * 300_000), {413}),
    "300 kB in a chunk": (lambda: _chunked(300_000), {413}),
    "a length that lies": (lambda: request(b"", {}, length=2**60), {413}),
    "a length that is none": (lambda: request(b"", {"content-length": "x"}), {400}),
    "a gzip bomb": (_bomb, {401}),  # gzip is no text, and nobody inflates it to see
    "brackets without end": (lambda: letter(b"[" * 250_000), {400}),
    "objects without end": (lambda: letter(b'{"a":' * 40_000 + b"1" + b"}" * 40_000), {400, 422}),
    "deep in the data": (
        lambda: letter({**payload("prompt.created"), "data": {"name": json.loads(_NESTED)}}),
        {422},
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_10_hostile_requests_are_refused_at_no_great_cost(site: Site, what: str) -> None:
    made, expected = HOSTILE[what]
    process = psutil.Process(site.children["receiver"].pid)
    before = process.memory_info().rss

    answer = ask(site, made())

    assert answer is not None
    assert answer.status in expected, answer
    assert process.memory_info().rss - before < 32 * 1024 * 1024
    assert site.metric("receiver", "steward_deliveries_total", outcome="failed") == 0


def test_10_hostile_requests_hardly_delay_other_senders(site: Site, name: str) -> None:
    let_go = site.metric("receiver", "steward_slow_requests_total")
    undisturbed = _p99(site, f"{name}-before")

    with _slow_connections(site) as slow, _hammering(site) as sent:
        disturbed = _p99(site, f"{name}-amid")
        eventually(
            lambda: all(each.seconds for each in slow),
            REQUEST_SECONDS + LATE_SECONDS,
            every_seconds=0.2,
        )

    assert disturbed <= TIMES_SLOWER * undisturbed + AT_LEAST_SECONDS
    assert len(sent) > 10
    assert set(sent) <= {400, 401, 413, 422}
    told = {kind: {each.status for each in slow if each.kind == kind} for kind in SLOW}
    assert told == {kind: {status} for kind, (*_, status) in SLOW.items()}
    counted = site.metric("receiver", "steward_slow_requests_total") - let_go
    assert counted == len(slow)
    taken = [*events_of(site, f"{name}-before", SOLD), *events_of(site, f"{name}-amid", SOLD)]
    assert len(taken) == 2 * NORMAL


# -- a sender like any other ---------------------------------------------------------------------

SOLD = "model_version.sold"


def _p99(site: Site, model: str) -> float:
    """Seconds, of deliveries one after the other that each must be taken."""
    seconds = []
    for number in range(NORMAL):
        message = letter(payload(SOLD, name=model, version=str(number)))
        began = time.perf_counter()
        answer = ask(site, message)
        seconds.append(time.perf_counter() - began)
        assert answer is not None
        assert answer.status == 202, answer
    return sorted(seconds)[int(0.99 * len(seconds))]


# -- those who are slow --------------------------------------------------------------------------

_HEAD = f"POST {PATH} HTTP/1.1\r\nhost: localhost\r\n".encode()
_LENGTH = b"content-length: 1000\r\n\r\n"
SLOW: dict[str, tuple[int, bytes, bytes, int | None]] = {
    "nothing": (100, b"", b"", None),
    "half a head": (50, _HEAD, b"x", 408),
    "no body": (50, _HEAD + _LENGTH, b"", 408),
    "half a body": (50, _HEAD + _LENGTH, b"x", 408),
    "a refused body that goes on": (20, _HEAD + b"content-length: 999999\r\n\r\n", b"x", 413),
}
"""How many connections, what they send at once, what they then trickle, and what they are told."""


@dataclass
class _Slow:
    """One connection that trickles, until it is closed."""

    kind: str
    connection: socket.socket
    received: bytes = b""
    seconds: float | None = None
    began: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        self.connection.sendall(SLOW[self.kind][1])
        self.connection.setblocking(False)

    def go_on(self) -> None:
        """Read what came; notice the end; send one more byte."""
        if self.seconds is not None:
            return
        try:
            while found := self.connection.recv(65_536):
                self.received += found
        except BlockingIOError:
            with suppress(OSError):
                self.connection.send(SLOW[self.kind][2])
            return
        except OSError:
            pass
        self.seconds = time.monotonic() - self.began

    @property
    def status(self) -> int | None:
        return int(self.received.split(b" ", 2)[1]) if self.received else None


@contextmanager
def _slow_connections(site: Site) -> Iterator[list[_Slow]]:
    """Many that are slow, at once, in a thread of their own until the block ends."""
    with ExitStack() as stack:
        every = [
            _Slow(kind, stack.enter_context(connect(site)))
            for kind, (count, *_) in SLOW.items()
            for _ in range(count)
        ]
        for each in every:
            each.begin()

        def trickle(stop: threading.Event) -> None:
            while not stop.wait(0.25):
                for each in every:
                    each.go_on()

        with beside(trickle):
            yield every


@contextmanager
def _hammering(site: Site) -> Iterator[list[int | None]]:
    """One who sends all that is hostile, again and again; yields the answers' statuses."""
    sent: list[int | None] = []
    messages = itertools.cycle([made() for made, _ in HOSTILE.values()])

    def hammer(stop: threading.Event) -> None:
        while not stop.wait(0.05):
            answer = ask(site, next(messages))
            sent.append(answer.status if answer else None)

    with beside(hammer):
        yield sent
