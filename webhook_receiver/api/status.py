"""Alive, ready, and metrics: what load balancers and Prometheus ask of this process."""

from collections import Counter
from collections.abc import Iterator

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse, RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from steward.journal import vitals
from steward.journal.vitals import Vitals
from webhook_receiver.api.access import ThisCaller
from webhook_receiver.problems import problem
from webhook_receiver.room import ThisRoom

router = APIRouter(tags=["status"])


@router.get("/", include_in_schema=False)
def show_front() -> Response:
    """Until the console stands here, the documentation does."""
    return RedirectResponse("/docs", status_code=307)


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="Alive")
async def healthz() -> PlainTextResponse:
    """200 while the process answers."""
    return PlainTextResponse("ok\n")


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="The journal takes a write",
    responses={503: {"description": "Deliveries would be answered with 503"}},
)
async def readyz(room: ThisRoom) -> Response:
    """About this process's own job alone: a broker or registry that is away changes nothing."""
    if await room.readiness.is_ready():
        return PlainTextResponse("ok\n")
    return problem(503, "The journal takes no write.", code="journal_unavailable")


@router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
def metrics(room: ThisRoom, _caller: ThisCaller) -> Response:
    """Counters of this process, and the state of the installation from the journal."""
    gathered = CollectorRegistry()
    gathered.register(_FromJournal(vitals.read(room.journal)))
    body = generate_latest(REGISTRY) + generate_latest(gathered)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


class _FromJournal(Collector):
    def __init__(self, found: Vitals) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        found = self._found
        by_state = GaugeMetricFamily(
            "steward_dispatches",
            "Dispatches that have not ended well",
            labels=["state", "handler"],
        )
        for (state, handler), count in sorted(found.dispatches.items()):
            by_state.add_metric([state, handler], count)
        yield by_state
        yield GaugeMetricFamily(
            "steward_dispatches_dead", "Dead dispatches", value=found.count("dead")
        )
        for name, text, since in (
            ("unfinished", "Age of the oldest unfinished dispatch", found.oldest_unfinished_at),
            ("due", "How long something due has waited for a worker", found.oldest_due_at),
        ):
            seconds = (found.now - since).total_seconds() if since else 0
            yield GaugeMetricFamily(f"steward_oldest_{name}_dispatch_seconds", text, value=seconds)
        polled = GaugeMetricFamily(
            "steward_events_seen_by_poll_alone", "Events that no webhook told of", labels=["type"]
        )
        for event_type, count in sorted(found.seen_by_poll.items()):
            polled.add_metric([event_type], count)
        yield polled
        for name, text in (
            (
                "steward_redelivered_hints_total",
                "Hints that the sweep sent again, as nobody answered",
            ),
            ("steward_expired_leases_total", "Dispatches whose worker stopped answering"),
        ):
            counted = name.removeprefix("steward_").removesuffix("_total")
            yield CounterMetricFamily(name, text, value=found.counters[counted])
        yield from self._processes()

    def _processes(self) -> Iterator[Metric]:
        living = self._found.living_processes
        count = GaugeMetricFamily(
            "steward_processes", "Processes that gave a sign lately", labels=["role", "queue"]
        )
        for (role, queue), number in sorted(
            Counter((each.role, each.queue or "") for each in living).items()
        ):
            count.add_metric([role, queue], number)
        yield count
        skew = GaugeMetricFamily(
            "steward_clock_skew_seconds", "Its clock minus the database's", labels=["process"]
        )
        canary = GaugeMetricFamily(
            "steward_worker_canary_age_seconds",
            "Since a worker was last known to consume",
            labels=["process"],
        )
        for each in living:
            if each.clock_skew_seconds is not None:
                skew.add_metric([each.name], each.clock_skew_seconds)
            if each.canary_at is not None:
                age = (self._found.now - each.canary_at).total_seconds()
                canary.add_metric([each.name], age)
        yield skew
        yield canary
