"""The fleet over HTTP: tells Steward's own replicas to prepare and reload, and checks each answer.

The ``reload`` and ``promote`` handlers use it through the Fleet port.
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import httpx

from steward.events import ModelRef
from steward.failpoints import failpoint
from steward.keepalive import KEEPALIVE_SECONDS
from steward.ports import Replica, ReplicaAnswer
from steward.signing import sign

_ANSWER_LIMIT = 64 * 1024
_DOES_NOT_LOAD = 422

Call = Literal["prepare", "reload"]


class HttpFleet:
    """Implements ports.Fleet. ``live`` says which replicas beat lately (the journal knows)."""

    def __init__(
        self,
        live: Callable[[ModelRef], list[Replica]],
        secret: bytes | None,
        *,
        lost: Callable[[ModelRef], list[str]] = lambda _model: [],
        max_concurrency: int = 32,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._live = live
        self._lost = lost
        self._secret = secret
        self._max_concurrency = max_concurrency
        # A transport of our own: calls inside the installation go through no proxy. Connections
        # are dropped before a replica (uvicorn: 5 s) would, so that no call meets a closed one.
        limits = httpx.Limits(
            max_connections=None,
            max_keepalive_connections=max_concurrency,
            keepalive_expiry=KEEPALIVE_SECONDS,
        )
        self._client = httpx.Client(transport=transport or httpx.HTTPTransport(limits=limits))

    def replicas(self, model: ModelRef) -> list[Replica]:
        """Those with a heartbeat in the last 15 seconds."""
        return self._live(model)

    def lost(self, model: ModelRef) -> list[str]:
        """Ids of those that fell silent in the last 2 minutes."""
        return self._lost(model)

    def prepare(
        self, replicas: Sequence[Replica], version: str, generation: int, *, timeout_seconds: float
    ) -> list[ReplicaAnswer]:
        """Ask each to load and warm up a version beside what it serves."""
        return self._tell_all("prepare", replicas, version, generation, timeout_seconds)

    def reload(
        self, replicas: Sequence[Replica], version: str, generation: int, *, timeout_seconds: float
    ) -> list[ReplicaAnswer]:
        """Ask each to serve a version, and check what it says it serves."""
        return self._tell_all("reload", replicas, version, generation, timeout_seconds)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _tell_all(
        self,
        call: Call,
        replicas: Sequence[Replica],
        version: str,
        generation: int,
        timeout_seconds: float,
    ) -> list[ReplicaAnswer]:
        if not replicas:
            return []

        def tell(replica: Replica) -> ReplicaAnswer:
            return self._tell(call, replica, version, generation, timeout_seconds)

        with ThreadPoolExecutor(min(self._max_concurrency, len(replicas)), "fleet") as pool:
            return list(pool.map(tell, replicas))

    def _tell(
        self, call: Call, replica: Replica, version: str, generation: int, timeout_seconds: float
    ) -> ReplicaAnswer:
        """One call to one replica; whatever happens becomes an answer."""
        order = {"model": replica.model.name, "version": version, "generation": generation}
        started = time.monotonic()
        try:
            status, content = self._post(
                replica.url.rstrip("/"), f"/{call}", json.dumps(order).encode(), timeout_seconds
            )
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            seconds = time.monotonic() - started
            reason = str(error) or type(error).__name__
            return ReplicaAnswer(replica, ok=False, seconds=seconds, error=f"No answer: {reason}")
        failpoint("replica.after_call")
        seconds = time.monotonic() - started
        answer = _object(content)
        objection = _objection(order, status, answer)
        # A prepare that succeeded names what it prepared, and beside it what it serves.
        served, at_generation = _served(answer.get("serves", answer))
        return ReplicaAnswer(
            replica,
            ok=objection is None,
            version=served,
            generation=at_generation,
            seconds=seconds,
            error=objection,
            refused=status == _DOES_NOT_LOAD,
        )

    def _post(
        self, base_url: str, path: str, body: bytes, timeout_seconds: float
    ) -> tuple[int, bytes]:
        """The whole answer, within the time limit and the size limit."""
        deadline = time.monotonic() + timeout_seconds
        headers = {"content-type": "application/json"}
        if self._secret is not None:
            headers |= sign(self._secret, method="POST", path=path, body=body)
        with self._client.stream(
            "POST", base_url + path, content=body, headers=headers, timeout=timeout_seconds
        ) as response:
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > _ANSWER_LIMIT:
                    raise httpx.ReadError(f"the answer exceeds {_ANSWER_LIMIT} bytes")
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"not answered within {timeout_seconds:g} s")
            return response.status_code, bytes(content)


def _objection(order: dict[str, Any], status: int, answer: dict[str, Any]) -> str | None:
    """Why the answer is no success: only a 200 that names exactly what was asked is one."""
    if status != httpx.codes.OK:
        return str(answer.get("detail") or f"It answered {status}.")
    named = {key: answer.get(key) for key in order}
    return None if named == order else f"It answered 200 for {named}, not for {order}."


def _served(answer: Any) -> tuple[str | None, int | None]:
    """What the replica says it serves, where it says it in the form we know."""
    if not isinstance(answer, dict):
        return None, None
    version, generation = answer.get("version"), answer.get("generation")
    return (
        version if isinstance(version, str) else None,
        generation if isinstance(generation, int) else None,
    )


def _object(content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
