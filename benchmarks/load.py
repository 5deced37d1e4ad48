"""A load generator, a process of its own: keep-alive connections, requests signed beforehand.

Run as ``python -m benchmarks.load PORT CONNECTIONS SECONDS``; prints one JSON object.
"""

import asyncio
import json
import random
import sys
import time
import uuid
from datetime import UTC, datetime

import uvloop
from standardwebhooks.webhooks import Webhook

from benchmarks.baselines import SECRET

PREPARED = 60_000


def requests(count: int) -> list[bytes]:
    """Signed deliveries of ``model_version.created``, each of another version."""
    webhook, now = Webhook(SECRET), datetime.now(UTC)
    return [_request(webhook, now, number) for number in range(count)]


def _request(webhook: Webhook, now: datetime, number: int) -> bytes:
    delivery, model = str(uuid.uuid4()), f"model-{number % 200}"
    data = {
        "name": model,
        "version": str(number // 200 + 1),
        "source": f"models:/m-{uuid.uuid4().hex}",
        "run_id": uuid.uuid4().hex,
        "tags": {"data_version": "2026-q3"},
        "description": None,
    }
    document = {
        "entity": "model_version",
        "action": "created",
        "timestamp": now.isoformat(),
        "data": data,
    }
    body = json.dumps(document).encode()
    signature = webhook.sign(delivery, now, body.decode())
    head = (
        "POST /webhooks/mlflow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"X-MLflow-Delivery-Id: {delivery}\r\nX-MLflow-Timestamp: {int(now.timestamp())}\r\n"
        f"X-MLflow-Signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """Sends the next request when an answer is complete."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(rest) < length:
            return
        self.buffer = b""
        self.load.answered(head[9:12].decode(), time.perf_counter() - self.sent_at)
        self._next()

    def _next(self) -> None:
        request = self.load.next()
        self.sent_at = time.perf_counter()
        if request is None:
            self.transport.close()  # type: ignore[attr-defined]
        else:
            self.transport.write(request)  # type: ignore[attr-defined]

    def connection_lost(self, _error: Exception | None) -> None:
        self.load.closed()


class Load:
    """What all connections share: requests left, latencies, statuses."""

    def __init__(self, prepared: list[bytes], connections: int, seconds: float) -> None:
        self.prepared = iter(prepared)
        self.open = connections
        self.ends_at = time.perf_counter() + seconds
        self.latencies: list[float] = []
        self.statuses: dict[str, int] = {}
        self.done = asyncio.get_running_loop().create_future()

    def next(self) -> bytes | None:
        return next(self.prepared, None) if time.perf_counter() < self.ends_at else None

    def answered(self, status: str, seconds: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.latencies.append(seconds)

    def closed(self) -> None:
        self.open -= 1
        if not self.open and not self.done.done():
            self.done.set_result(None)


async def run(port: int, connections: int, seconds: float) -> dict[str, object]:
    prepared = requests(PREPARED)
    random.Random(1).shuffle(prepared)
    load = Load(prepared, connections, seconds)
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    load.ends_at = began + seconds
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", port)
    await load.done
    took = time.perf_counter() - began
    latencies = sorted(load.latencies)
    return {
        "per_second": len(latencies) / took,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
        "statuses": load.statuses,
    }


if __name__ == "__main__":
    result = uvloop.run(run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
    print(json.dumps(result))
