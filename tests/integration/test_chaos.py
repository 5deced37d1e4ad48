"""The misbehaving proxy itself: a fault that is not injected would prove nothing."""

import gc
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.chaos import ChaosProxy
from tests.servers import HttpCapture, eventually


@pytest.fixture
def proxy(http_capture: HttpCapture) -> Iterator[ChaosProxy]:
    with ChaosProxy(http_capture.port).running() as proxy:
        yield proxy


@pytest.fixture
def client(proxy: ChaosProxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{proxy.port}", trust_env=False) as client:
        yield client


def test_it_forwards(client: httpx.Client, http_capture: HttpCapture) -> None:
    assert client.post("/a", content=b"x" * 200_000).text == "ok"
    assert len(http_capture.requests[0].body) == 200_000


def test_a_frozen_connection_is_silent_while_new_ones_pass(
    client: httpx.Client, proxy: ChaosProxy
) -> None:
    assert client.get("/").is_success
    proxy.freeze()

    with pytest.raises(httpx.ReadTimeout):
        client.get("/", timeout=0.3)

    assert client.get("/").is_success


def test_a_thawed_connection_delivers_what_waited(client: httpx.Client, proxy: ChaosProxy) -> None:
    assert client.get("/").is_success
    proxy.freeze(new=True)
    with pytest.raises(httpx.ReadTimeout):
        client.get("/", timeout=0.3)

    proxy.thaw()

    assert client.get("/").is_success


def test_cutting_resets_and_refusing_lets_nobody_in(
    client: httpx.Client, proxy: ChaosProxy
) -> None:
    assert client.get("/").is_success
    proxy.refuse()
    proxy.cut()

    with pytest.raises(httpx.TransportError):
        client.get("/")

    proxy.refuse(on=False)
    assert client.get("/").is_success


def test_a_swallowed_answer_comes_after_the_request_was_carried_out(
    client: httpx.Client, proxy: ChaosProxy, http_capture: HttpCapture
) -> None:
    proxy.swallow_answers(b"/write")

    with pytest.raises(httpx.TransportError):
        client.post("/write")

    assert [request.path for request in http_capture.requests] == ["/write"]
    assert proxy.swallowed == 1
    assert client.post("/write").is_success


def test_a_delay_is_felt(client: httpx.Client, proxy: ChaosProxy) -> None:
    proxy.delay(0.2)

    with pytest.raises(httpx.ReadTimeout):
        client.get("/", timeout=0.1)

    proxy.delay(0)
    assert eventually(lambda: client.get("/").is_success)


def test_it_leaves_nothing_of_a_client_that_was_let_in_a_moment_ago() -> None:
    for _ in range(20):
        with HttpCapture().running() as server:
            with ChaosProxy(server.port).running() as proxy:
                client = socket.create_connection(("127.0.0.1", proxy.port))
            with client:
                client.settimeout(10)
                assert ended(client)

    gc.collect()  # what was left is told here


def ended(client: socket.socket) -> bool:
    """Whether the other side closed the connection, in whatever way."""
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True
