"""The Celery app and the hinter: the only producer of messages.

A message carries a dispatch id and nothing else. The journal is the truth, so the broker may be
emptied at any moment: the sweep hints again.
"""

import queue
import threading
from collections.abc import Iterable, Sequence

from celery import Celery
from kombu import Producer, Queue
from prometheus_client import Counter, Gauge

from steward.events import uuid7
from steward.failpoints import failpoint
from steward.logs import get_logger
from steward.ports import Hint

QUEUES = ("default", "validation")
HINTS_SENT = Counter("steward_hints_total", "Hints sent to the broker", ["result"])
BROKER_UP = Gauge("steward_broker_up", "1 if the last hint reached the broker, else 0")

# Each line keeps something from being lost or done twice; docs/architecture.md says what.
NEVER_LOSE = {
    "task_ignore_result": True,
    "result_backend": None,
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_acks_late": True,
    "task_reject_on_worker_lost": False,
    "task_acks_on_failure": True,
    "task_acks_on_timeout": True,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    "worker_eta_task_limit": 100,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_soft_shutdown_timeout": 5,
    "worker_enable_soft_shutdown_on_idle": False,
    "worker_max_tasks_per_child": 200,
    "worker_max_memory_per_child": 900_000,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "worker_send_task_events": False,
    "task_time_limit": 600,
    "task_soft_time_limit": 540,
    "task_publish_retry": False,
    "task_create_missing_queues": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_pool_acquire_timeout": 5,
    "visibility_timeout": 1200,
}
REDIS_OPTIONS = {
    "visibility_timeout": 1200,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 5,
    "retry_on_timeout": False,
    "global_keyprefix": "steward:",
}


def celery_app(broker_url: str) -> Celery:
    """The app that producers and workers share; queues are declared, none is made by chance."""
    app = Celery("steward", broker=broker_url, set_as_current=False)
    app.conf.update(NEVER_LOSE)
    if broker_url.startswith(("redis", "rediss", "unix", "socket", "valkey")):
        app.conf.broker_transport_options = dict(REDIS_OPTIONS)
    app.conf.task_queues = [Queue(name) for name in QUEUES]
    app.conf.task_default_queue = "default"
    return app


class Hinter:
    """Sends hints from a thread beside the caller, many in one round trip.

    In a burst beyond the backlog, or with the broker away, hints are dropped: workers have enough
    to do, dispatches stay in the journal, and the sweep hints them within seconds.
    """

    BACKLOG = 500
    BATCH = 200

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._backlog: queue.SimpleQueue[Hint | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="hinter", daemon=True)
        self._thread.start()
        self._log = get_logger()

    def send(self, hints: Sequence[Hint]) -> None:
        """Queue hints and return at once."""
        room = max(0, self.BACKLOG - self._backlog.qsize())
        for hint in hints[:room]:
            self._backlog.put(hint)
        HINTS_SENT.labels("dropped").inc(len(hints[room:]))

    def close(self, timeout_seconds: float = 3.0) -> None:
        """Send what is queued, then stop."""
        self._backlog.put(None)
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        is_open = True
        while is_open:
            gathered = [self._backlog.get()]
            while len(gathered) < self.BATCH and not self._backlog.empty():
                gathered.append(self._backlog.get())
            is_open = None not in gathered
            self._publish([hint for hint in gathered if hint is not None])

    def _publish(self, hints: Iterable[Hint]) -> None:
        unique = {hint.dispatch_id: hint for hint in hints}
        if not unique:
            return
        failpoint("hint.before_publish")
        try:
            with (
                self._app.producer_pool.acquire(block=True, timeout=5) as producer,
                producer.batch(max_size=self.BATCH),
            ):
                for hint in unique.values():
                    _publish_task(producer, hint)
        except Exception as error:  # noqa: BLE001  # whatever the transport raises: the sweep repeats
            if BROKER_UP._value.get() != 0:  # noqa: SLF001  # once an outage, not once a hint
                self._log.warning("broker_unreachable", error=str(error), hints=len(unique))
            BROKER_UP.set(0)
            HINTS_SENT.labels("failed").inc(len(unique))
            return
        failpoint("hint.after_publish")
        BROKER_UP.set(1)
        HINTS_SENT.labels("sent").inc(len(unique))


def _publish_task(producer: Producer, hint: Hint) -> None:
    """One task message, by Celery's protocol 2; ``send_task`` takes three times as long for it.

    https://docs.celeryq.dev/en/stable/internals/protocol.html
    """
    task_id = uuid7()
    producer.publish(
        ((hint.dispatch_id,), {}, _NO_FOLLOW_UP),
        serializer="json",
        exchange="",
        routing_key=hint.queue,
        correlation_id=task_id,
        retry=False,
        headers={
            "lang": "py",
            "task": hint.handler,
            "id": task_id,
            "root_id": task_id,
            "parent_id": None,
            "group": None,
            "argsrepr": hint.dispatch_id,
            "kwargsrepr": "{}",
        },
    )


_NO_FOLLOW_UP = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
