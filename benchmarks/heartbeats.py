"""The heartbeats of a thousand replicas, each every 5 seconds, signed, at one receiver.

Beside it an endpoint of FastAPI that reads the body and does nothing, under the same load.
"""

import asyncio
import json
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import psutil
from rich.console import Console
from rich.table import Table
from standardwebhooks.webhooks import Webhook

from benchmarks.baselines import SECRET
from benchmarks.intake import _await
from benchmarks.places import Place, place, running
from tests.servers import free_port

REPLICAS, EVERY_SECONDS, SECONDS = 1000, 5, 15
CONNECTIONS = 50
_WRITES = "steward_journal_transactions_total"


def main() -> None:
    table = Table(
        title=f"Heartbeats: {REPLICAS:,} replicas, each every {EVERY_SECONDS} s, {SECONDS} s"
    )
    columns = ("receiver", "answered/s", "refused", "p50 ms", "p99 ms", "writes/s", "CPU")
    for column in columns:
        table.add_column(column, justify="left" if column == "receiver" else "right")
    with place() as here:
        table.add_row("FastAPI that does nothing", *_measure(here, None), style="dim")
        for database in ("SQLite", "PostgreSQL"):
            table.add_row(f"Steward, {database}", *_measure(here, database))
    Console(width=110).print(table)


def _measure(here: Place, database: str | None) -> tuple[str, ...]:
    port = free_port()
    url = here.journal_url(database, "heartbeats") if database else ""
    environment = here.environment(url, f"heartbeats-{database}")
    environment["STEWARD_REPLICA_SECRETS"] = SECRET.decode()
    receiver = (
        ["steward.cli", "receiver", "--port"] if database else ["benchmarks.baselines", "noop"]
    )
    with running([*receiver, str(port)], environment) as pid:
        _await(port)
        process = psutil.Process(pid)
        before, cpu = _writes(port, database), sum(process.cpu_times()[:2])
        began = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.heartbeats", "send", str(port)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        took = time.perf_counter() - began
        cpu = sum(process.cpu_times()[:2]) - cpu
        writes = (_writes(port, database) - before) / took
    found = json.loads(answer.stdout)
    return (
        f"{found['per_second']:,.0f}",
        str(found["refused"]),
        f"{found['p50_ms']:.1f}",
        f"{found['p99_ms']:.1f}",
        f"{writes:.1f}" if database else "",
        f"{cpu / SECONDS:.0%}",
    )


def _writes(port: int, database: str | None) -> float:
    if not database:
        return 0.0
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    [line] = [each for each in text.splitlines() if each.startswith(f"{_WRITES} ")]
    return float(line.split()[1])


async def _send_all(port: int) -> None:
    """Each replica beats at its own time; connections are kept and shared."""
    latencies: list[float] = []
    refused = 0
    waiting: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()

    async def connection() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (item := await waiting.get()) is not None:
            due, request = item
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            refused += not head.startswith(b"HTTP/1.1 200")
            latencies.append(time.perf_counter() - due)
        writer.close()

    beats = [_request(number % REPLICAS) for number in range(REPLICAS * SECONDS // EVERY_SECONDS)]
    began = time.perf_counter()
    connections = [asyncio.create_task(connection()) for _ in range(CONNECTIONS)]
    for number, request in enumerate(beats):
        due = began + number * EVERY_SECONDS / REPLICAS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        waiting.put_nowait((due, request))
    for _ in connections:
        waiting.put_nowait(None)
    await asyncio.gather(*connections)
    latencies.sort()
    found = {
        "per_second": len(latencies) / (time.perf_counter() - began),
        "refused": refused,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
    }
    sys.stdout.write(json.dumps(found))


def _request(number: int) -> bytes:
    now, name = datetime.now(UTC), f"replica-{number}"
    beat = {
        "model": f"model-{number % 100}",
        "url": f"http://10.0.0.{number % 250}:9000",
        "version": "7",
        "generation": 3,
        "state": "ready",
        "boot_id": f"boot-{number}",
        "started_at": now.isoformat(),
    }
    body = json.dumps(beat)
    path = f"/api/v1/replicas/{quote(name, safe='')}"
    message = f"PUT {path}|{uuid.uuid4()}"
    signature = Webhook(SECRET).sign(message, now, body)
    head = (
        f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"webhook-id: {message}\r\nwebhook-timestamp: {int(now.timestamp())}\r\n"
        f"webhook-signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        asyncio.run(_send_all(int(sys.argv[2])))
    else:
        main()
