"""A small HTTP server for roles that have none of their own: /healthz, /readyz and /metrics."""

import os
import socket
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from steward.errors import ConfigurationError


def serve(port: int | None, *, host: str, is_ready: Callable[[], bool]) -> None:
    """Answer on ``host`` and ``port`` from a daemon thread; do nothing when no port is set.

    ``host`` is the receiver's: probes of a container come from outside of it.

    Raises:
        ConfigurationError: the port is taken, or the host is not this machine's.

    """
    if port is None:
        return
    try:
        server = (_ServerOn6 if ":" in host else ThreadingHTTPServer)(
            (host, port), _handler(is_ready)
        )
    except OSError as error:
        raise ConfigurationError(
            f"STEWARD_HEALTH_PORT {port} cannot be bound on {host}: {error.strerror}."
        ) from error
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()


def _metrics() -> bytes:
    """What this process counted, or all forks of it where they share a directory.

    A worker of the validation queue forks, and only its children count: PROMETHEUS_MULTIPROC_DIR
    (prometheus_client's own) names an empty directory in which they do.
    """
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return generate_latest()
    shared = CollectorRegistry()
    shared.register(_OfForks())
    return generate_latest(shared)


class _OfForks(Collector):
    """Counters and histograms of every fork, ended ones too; an ended one's gauge would lie."""

    def collect(self) -> Iterable[Metric]:
        shared: Collector = MultiProcessCollector(None)  # type: ignore[no-untyped-call]  # it has no types
        return [each for each in shared.collect() if each.type != "gauge"]


class _ServerOn6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


def _handler(is_ready: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            if self.path == "/metrics":
                self._answer(200, _metrics(), CONTENT_TYPE_LATEST)
            elif self.path == "/healthz":
                self._answer(200, b'{"status":"ok"}')
            elif self.path == "/readyz":
                ready = is_ready()
                status = b'{"status":"ready"}' if ready else b'{"status":"not ready"}'
                self._answer(200 if ready else 503, status)
            else:
                self._answer(404, b'{"title":"Not Found","status":404}')

        def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Requests of a probe are not worth a line."""

    return Handler
