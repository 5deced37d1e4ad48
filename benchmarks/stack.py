"""An installation to measure: MLflow behind a recording proxy, `steward up`, replicas."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from tests.servers import MlflowServer, eventually, free_port

_OWN_HEADERS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "content-encoding"}
)
POLICY = """
version: 1
policies:
  - name: benchmark
    match: {models: ["*"]}
    mode: act
    production: {stage: Production, mirror_alias: champion, archive_previous: true}
    metrics: {auc: {names: [test_auc], better: higher}}
    require: {metrics: {auc: {min: 0.5}}}
    promote: {when: {metric: auc, margin: 0.001}, first_version: promote}
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to MLflow: when it was in the air (seconds since the epoch), and what for."""

    began: float
    ended: float
    method: str
    path: str


@dataclass(slots=True)
class Installation:
    """Addresses of what runs, and the requests that went to MLflow through the proxy."""

    mlflow: str
    receiver: str
    replicas: list[str]
    pids: dict[str, int]
    token: str
    asked: list[Asked] = field(default_factory=list)

    def get(self, path: str, **params: str) -> dict[str, object]:
        answer = httpx.get(
            f"{self.receiver}{path}",
            params=params,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=90,
        )
        answer.raise_for_status()
        found: dict[str, object] = answer.json()
        return found


@contextmanager
def installation(directory: Path, *, model: str, replicas: int) -> Iterator[Installation]:
    """Start it all; Steward's roles reach MLflow through the proxy, replicas go straight."""
    with ExitStack() as stack:
        mlflow = MlflowServer(directory / "mlflow")
        (directory / "mlflow").mkdir()
        url = mlflow.start().url
        stack.callback(mlflow.stop)
        asked: list[Asked] = []
        proxy = stack.enter_context(_proxy(url, asked))
        policy = directory / "steward.yaml"
        policy.write_text(POLICY, encoding="utf-8")
        data_dir, port = directory / "steward", free_port()
        environment = {
            **os.environ,
            "MLFLOW_TRACKING_URI": proxy,
            "STEWARD_DATA_DIR": str(data_dir),
            "STEWARD_REPLICA_SECRETS": "benchmark-replicas",
            "STEWARD_URL": f"http://127.0.0.1:{port}",
        }
        up = ("up", "--port", str(port), "--policy", str(policy))
        stack.enter_context(_steward(environment, *up))
        eventually((data_dir / "up.json").exists, 120)
        pids = json.loads((data_dir / "up.json").read_text())["pids"]
        urls = []
        for number in range(replicas):
            own, at = dict(environment, MLFLOW_TRACKING_URI=url), free_port()
            command = ("replica", "--model", model, "--port", str(at))
            process = stack.enter_context(_steward(own, *command))
            pids[f"replica-{number + 1}"] = process.pid
            urls.append(f"http://127.0.0.1:{at}")
        token = (data_dir / "token").read_text().strip()
        running = Installation(url, f"http://127.0.0.1:{port}", urls, pids, token, asked)
        eventually(lambda: len(running.get("/api/v1/replicas")["items"]) == replicas, 60)  # type: ignore[arg-type]
        yield running


@contextmanager
def _steward(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "steward.cli", *arguments],
        env=environment,
        stdout=sys.stderr,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def _proxy(target: str, asked: list[Asked]) -> Iterator[str]:
    """Passes requests on, and notes how long each was in the air."""
    limits = httpx.Limits(max_connections=None, keepalive_expiry=2)  # uvicorn closes after 5
    upstream = httpx.Client(base_url=target, limits=limits, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are two writes: else 40 ms a request

        def _pass_on(self) -> None:
            began = time.time()
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _OWN_HEADERS}
            answer = upstream.request(self.command, self.path, content=body, headers=headers)
            content = answer.content
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in _OWN_HEADERS:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            # The proxy's own time is the price of measuring, and not Steward's.
            asked.append(Asked(began, time.time(), self.command, self.path))

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _pass_on  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
