"""What the world saw Steward do: writes of the registry, orders to replicas, messages to people.

Each is a real HTTP server in the place of what it watches, and keeps what it got; the tests judge
Steward by it and not by what Steward says of itself.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from steward.signing import sign
from tests.servers import FORGETFUL, Answer, CapturedRequest, HttpCapture, eventually

HEARTBEAT_SECONDS = 1.5
_WRITES = {
    "/registered-models/alias": "alias",
    "/model-versions/transition-stage": "stage",
    "/model-versions/set-tag": "tag",
}
_NOT_FORWARDED = ("host", "content-length", "connection", "accept-encoding", "transfer-encoding")


@dataclass(frozen=True, slots=True)
class Write:
    """One write of the registry that succeeded: ``what`` is an alias, a stage, or a tag's key."""

    kind: str
    model: str
    version: str
    what: str


class RegistryWitness:
    """An HTTP proxy in front of MLflow that keeps each write, and can be told to misbehave.

    ``fails(request)`` may answer in MLflow's place (an :class:`Answer`) or None to let it pass.
    """

    def __init__(self, mlflow_url: str) -> None:
        self.mlflow_url = mlflow_url
        self.writes: list[Write] = []
        self.fails: Callable[[CapturedRequest], Answer | None] = lambda _: None
        self._capture = HttpCapture()
        self._capture.answer_with = self._forward
        self._lock = threading.Lock()
        self._under_way = 0
        self._is_over = False
        self._client = httpx.Client(
            base_url=mlflow_url, timeout=60, trust_env=False, limits=FORGETFUL
        )

    @property
    def url(self) -> str:
        """What Steward is told of as MLFLOW_TRACKING_URI."""
        return self._capture.url

    def of(self, model: str, kind: str, what: str) -> list[str]:
        """The versions that were written, in order: an alias or a stage of a model."""
        found = list(self.writes)
        return [w.version for w in found if (w.model, w.kind, w.what) == (model, kind, what)]

    @contextmanager
    def running(self) -> Iterator[Self]:
        try:
            with self._capture.running():
                yield self
        finally:
            # What is under way ends first: it may open a connection, which nobody would close.
            with self._lock:
                self._is_over = True
            eventually(lambda: self._under_way == 0, 120)
            self._client.close()

    def _forward(self, request: CapturedRequest) -> Answer:
        return self.fails(request) or self.carry_out(request)

    def carry_out(self, request: CapturedRequest) -> Answer:
        """Let MLflow do it, whatever ``fails`` says: for an answer that gets lost on its way."""
        headers = {k: v for k, v in request.headers.items() if k not in _NOT_FORWARDED}
        try:
            with self._counted():
                found = self._client.request(
                    request.method, request.path, content=request.body, headers=headers
                )
        except httpx.HTTPError:
            return Answer(HTTPStatus.BAD_GATEWAY, b"MLflow is away")
        if found.is_success:
            self._keep(request)
        kind = found.headers.get("content-type", "application/json")
        return Answer(found.status_code, found.content, {"content-type": kind})

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            if self._is_over:
                raise httpx.ConnectError("this proxy has ended")
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def _keep(self, request: CapturedRequest) -> None:
        path = urlsplit(request.path).path.partition("/mlflow")[2]
        kind = _WRITES.get(path)
        if kind is None or request.method == "GET" or not request.body:
            return
        body = json.loads(request.body)
        what = str(body.get("alias") or body.get("stage") or body.get("key"))
        if request.method == "DELETE":
            kind += " deleted"
        self.writes.append(Write(kind, body["name"], str(body.get("version")), what))


@dataclass
class FakeReplica:
    """A replica without a model: it beats, obeys /prepare and /reload, and keeps every order.

    It does what ``serving`` does (an older generation is refused, the same one is a no-op).
    ``answers`` may misbehave: given the call (``prepare``, ``reload``) and the order, it returns an
    :class:`Answer`, or None to do as a good replica does.
    """

    id: str
    model: str
    receiver_url: str
    secret: bytes
    answers: Callable[[str, Mapping[str, Any]], Answer | None] = lambda _call, _order: None
    orders: list[tuple[str, str, int]] = field(default_factory=list)
    served: list[tuple[str, int]] = field(default_factory=list)
    version: str | None = None
    generation: int = 0

    def __post_init__(self) -> None:
        self.http = HttpCapture()
        self.http.answer_with = self._obey
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.is_beating = True
        self.is_told_by_beats = True
        """Whether it does what the answer to a heartbeat desires, as good replicas do."""

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Serve and beat until the end; then say goodbye."""
        with self.http.running():
            thread = threading.Thread(target=self._beat_always, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self._stop.set()
                thread.join(30)
                self.beat("stopping")

    def beat(self, state: str = "ready") -> bool:
        """One heartbeat now; whether the receiver took it. What it desires is obeyed."""
        path = f"/api/v1/replicas/{self.id}"
        report = {
            "model": self.model,
            "url": self.http.url,
            "version": self.version,
            "generation": self.generation,
            "state": state if self.version or state == "stopping" else "empty",
            "boot_id": self.id,
        }
        body = json.dumps(report).encode()
        headers = sign(self.secret, method="PUT", path=path, body=body)
        try:
            answer = httpx.put(
                self.receiver_url + path, content=body, headers=headers, timeout=5, trust_env=False
            )
        except httpx.HTTPError:
            return False
        desired = answer.json().get("desired") if answer.is_success else None
        is_news = desired and desired["version"] and desired["generation"] > self.generation
        if is_news and self.is_told_by_beats and self.answers("reload", desired) is None:
            self._serve(desired["version"], desired["generation"])
        return answer.is_success

    def _beat_always(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            if self.is_beating:
                with suppress(ValueError):
                    self.beat()

    def _obey(self, request: CapturedRequest) -> Answer:
        call, order = request.path.strip("/"), json.loads(request.body)
        self.orders.append((call, order["version"], order["generation"]))
        if (answer := self.answers(call, order)) is not None:
            return answer
        named = {"model": self.model, "version": order["version"]}
        if call == "prepare":
            return _json(200, named | {"generation": order["generation"], "seconds": 0.0})
        if order["generation"] < self.generation:
            serves = {"version": self.version, "generation": self.generation}
            return _json(409, {"detail": "an older generation", "serves": serves})
        previous = self.version
        self._serve(order["version"], order["generation"])
        return _json(200, named | {"generation": order["generation"], "previous": previous})

    def _serve(self, version: str, generation: int) -> None:
        with self._lock:
            if generation > self.generation:
                self.version, self.generation = version, generation
                self.served.append((version, generation))


def _json(status: int, document: Mapping[str, Any]) -> Answer:
    return Answer(status, json.dumps(document).encode(), {"content-type": "application/json"})


class Slack:
    """An incoming webhook that keeps each message with its time."""

    def __init__(self) -> None:
        self.http = HttpCapture()
        self.http.answer_with = self._take
        self.messages: list[tuple[float, str]] = []
        self.refuses: Callable[[], Answer | None] = lambda: None

    @property
    def url(self) -> str:
        return f"{self.http.url}/slack"

    def titles(self, about: str) -> list[str]:
        """The titles of what was accepted about a model."""
        return [
            title for _, body in list(self.messages) if about in (title := json.loads(body)["text"])
        ]

    def bodies(self, about: str) -> list[str]:
        return [body for _, body in list(self.messages) if about in json.loads(body)["text"]]

    def _take(self, request: CapturedRequest) -> Answer:
        if (answer := self.refuses()) is not None:
            return answer
        self.messages.append((time.monotonic(), request.body.decode()))
        return Answer()
