"""A replica's Prometheus metrics; label values of versions it no longer holds are dropped."""

from collections.abc import Callable
from importlib.metadata import version as version_of

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from serving.slot import Table

CHAMPION = "champion"
_LATENCY_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_RELOAD_BUCKETS = (0.005, 0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)


class Telemetry:
    """Counts what one replica does; its own registry, so that two apps never share a counter."""

    def __init__(self, model: str, waiting: Callable[[], int]) -> None:
        self._model = model
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        labels = ("model", "version", "variant")
        self._requests = Counter(
            "steward_replica_requests_total",
            "Predictions by outcome: ok, client_error, server_error, busy.",
            (*labels, "outcome"),
            registry=registry,
        )
        self._latency = Histogram(
            "steward_replica_request_seconds",
            "Time from a request's arrival to its answer.",
            labels,
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self._info = Gauge(
            "steward_replica_model_info",
            "1 for the version that is served.",
            ("model", "version", "mlflow"),
            registry=registry,
        )
        self._generation = Gauge(
            "steward_replica_generation",
            "The generation that is served.",
            ("model",),
            registry=registry,
        )
        self._reloads = Counter(
            "steward_replica_reload_total",
            "Reloads by result: served, stale, failed.",
            ("result",),
            registry=registry,
        )
        self._reload_seconds = Histogram(
            "steward_replica_reload_seconds",
            "Time from a reload's arrival to the new version being served.",
            buckets=_RELOAD_BUCKETS,
            registry=registry,
        )
        Gauge(
            "steward_replica_queue_depth",
            "Predictions running or waiting for a thread.",
            registry=registry,
        ).set_function(waiting)
        self._generation.labels(model).set(0)
        self._held: frozenset[str] = frozenset()

    def answered(self, version: str, status: int, seconds: float) -> None:
        """One prediction was answered."""
        outcome = {2: "ok", 4: "client_error"}.get(status // 100, "server_error")
        self._requests.labels(self._model, version, CHAMPION, outcome).inc()
        self._latency.labels(self._model, version, CHAMPION).observe(seconds)

    def refused_busy(self, version: str) -> None:
        """One prediction was turned away because the queue is full."""
        self._requests.labels(self._model, version, CHAMPION, "busy").inc()

    def reloaded(self, result: str, seconds: float) -> None:
        """One reload ended: served, stale or failed."""
        self._reloads.labels(result).inc()
        if result == "served":
            self._reload_seconds.observe(seconds)

    def serves(self, table: Table) -> None:
        """The table was replaced: forget versions that are no longer held."""
        for version in self._held - table.versions():
            gone = {"model": self._model, "version": version}
            self._requests.remove_by_labels(gone)
            self._latency.remove_by_labels(gone)
        self._held = table.versions()
        self._info.clear()
        if table.champion is not None:
            self._info.labels(self._model, table.champion.version, version_of("mlflow")).set(1)
        self._generation.labels(self._model).set(table.generation)

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)
