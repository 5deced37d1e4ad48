"""HttpFleet against real HTTP servers: time limits, and many replicas at once."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from steward.clients.replicas import HttpFleet
from steward.events import ModelRef
from steward.ports import Replica
from tests.servers import Answer, CapturedRequest, HttpCapture, beside, free_port

CHURN = ModelRef("churn")


def obey(request: CapturedRequest) -> Answer:
    return Answer(body=json.dumps({**json.loads(request.body), "previous": None}).encode())


@pytest.fixture
def servers() -> Iterator[list[HttpCapture]]:
    with ExitStack() as stack:
        servers = [stack.enter_context(HttpCapture().running()) for _ in range(12)]
        for server in servers:
            server.answer_with = obey
        yield servers


@pytest.fixture
def fleet() -> Iterator[HttpFleet]:
    fleet = HttpFleet(lambda _: [], b"shared")
    yield fleet
    fleet.close()


def replica(url: str) -> Replica:
    return Replica(url, url, CHURN)


def test_slow_and_dead_replicas_cost_the_others_nothing(
    servers: list[HttpCapture], fleet: HttpFleet
) -> None:
    for slow in servers[:4]:
        slow.answer_with = lambda request: Answer(body=obey(request).body, after_seconds=30)
    dead = replica(f"http://127.0.0.1:{free_port()}")

    started = time.monotonic()
    answers = fleet.reload(
        [*(replica(server.url) for server in servers), dead], "7", 3, timeout_seconds=2
    )
    seconds = time.monotonic() - started

    assert [answer.ok for answer in answers] == [False] * 4 + [True] * 8 + [False]
    assert not any(answer.refused for answer in answers)
    assert seconds < 7  # the slow ones after each other would take 8


def test_replicas_are_told_side_by_side(servers: list[HttpCapture], fleet: HttpFleet) -> None:
    together = threading.Barrier(len(servers))

    def meet(request: CapturedRequest) -> Answer:
        together.wait(30)  # breaks unless all are asked before any has answered
        return obey(request)

    for server in servers:
        server.answer_with = meet

    answers = fleet.prepare([replica(one.url) for one in servers], "7", 3, timeout_seconds=30)

    assert all(answer.ok for answer in answers)


def test_a_replica_that_trickles_is_given_up_at_the_limit(fleet: HttpFleet) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def trickle(stop: threading.Event) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):  # given up
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
            while not stop.wait(0.1):
                connection.sendall(b" ")

    with listener, beside(trickle):
        started = time.monotonic()
        answer = fleet.reload(
            [replica(f"http://127.0.0.1:{listener.getsockname()[1]}")], "7", 3, timeout_seconds=0.5
        )[0]
        seconds = time.monotonic() - started

    assert not answer.ok
    assert seconds < 10  # it would take a thousand
