"""Functional liveness: a worker that stopped consuming is noticed, and ends to be started again.

Each worker process sends itself a canary through the broker. Only the consumer that takes its work
receives it, on the same connection and in the same loop, so a canary that does not come back says
that no work comes either, whatever the process looks like from outside.
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import Celery, bootsteps
from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.consumer.tasks import Tasks
from kombu import Consumer, Producer, Queue
from kombu.common import ignore_errors
from prometheus_client import Counter, Gauge

from steward.broker import CONFIRM_SECONDS, is_rabbitmq, queue_on
from steward.events import uuid7
from steward.journal.processes import Canary
from steward.logs import get_logger

LONGEST_BACK_OFF = 5
"""Seconds between two looks for a broker that is away."""
QUEUE_EXPIRES_SECONDS = 300
"""A canary's queue is gone so long after its worker."""
RETURNED = Counter("steward_canaries_returned_total", "Canaries that came back to this worker")
CANARY_AGE = Gauge("steward_canary_age_seconds", "Since this worker was last known to consume")


class Liveness:
    """Sends canaries from a thread, and judges.

    ``gone`` is called once, with the reason, when the broker took canaries for ``limit_seconds``
    and none came back. ``hung`` says how many of the pool's places are held by work that will not
    end by itself: a pool is only busy, and so alive, while it is less than full of that.
    """

    def __init__(
        self,
        app: Celery,
        *,
        name: str,
        every_seconds: float,
        limit_seconds: float,
        gone: Callable[[str], None],
        hung: Callable[[], int],
    ) -> None:
        self._app = app
        self._every_seconds, self._limit_seconds = every_seconds, limit_seconds
        self._gone, self._hung = gone, hung
        self._began_at = time.monotonic()
        self._published_at: float | None = None
        self._returned_at: float | None = None
        self._waiting_since: float | None = None
        self._places = 0
        self._log = get_logger()
        self._queue = Queue(
            queue_on(app, f"canary.{name}.{uuid7()[-8:]}"),
            # Durable and expiring: newer RabbitMQ knows no transient queues that all may use.
            expires=QUEUE_EXPIRES_SECONDS,
            message_ttl=limit_seconds,
            max_length=20,
        )
        app.steps["consumer"].add(self._step())
        CANARY_AGE.set_function(lambda: self._since(self._returned_at or self._began_at))

    def start(self) -> None:
        """Send from now on."""
        threading.Thread(target=self._run, name="liveness", daemon=True).start()

    @property
    def is_late(self) -> bool:
        """Whether canaries have been unanswered for half the limit: the process is not ready."""
        return self._unanswered_seconds() > self._limit_seconds / 2

    def canary(self) -> Canary:
        """For this process's row: when one was sent, and when one came back (or all was busy)."""
        return Canary(
            None if self._published_at is None else self._since(self._published_at),
            None if self._returned_at is None else self._since(self._returned_at),
        )

    # -- inside ---------------------------------------------------------------------------------

    def _run(self) -> None:
        wait = threading.Event().wait
        while True:
            try:
                self._publish()
            except Exception:  # noqa: BLE001  # the broker is away, which no restart would change
                self._waiting_since = None
            else:
                self._published_at = time.monotonic()
                if self._waiting_since is None:
                    self._waiting_since = self._published_at
            if self._is_busy():
                self._returned_at, self._waiting_since = time.monotonic(), None
            if self._unanswered_seconds() > self._limit_seconds:
                self._gone(
                    f"the broker took canaries for {self._unanswered_seconds():.0f} s and none "
                    "came back: this process does not consume"
                )
                return
            wait(self._every_seconds)

    def _publish(self) -> None:
        """On a new connection: whether the broker is there must not depend on an old one."""
        with self._app.connection_for_write() as connection:
            Producer(connection.channel(), auto_declare=False).publish(
                {},
                serializer="json",
                exchange="",
                routing_key=self._queue.name,
                declare=[self._queue],
                retry=False,
                confirm_timeout=CONFIRM_SECONDS,
            )

    def _returned(self, _message: Any) -> None:
        """A canary came back; called in the loop that consumes the work."""
        self._waiting_since = None
        self._returned_at = time.monotonic()
        RETURNED.inc()

    def _is_busy(self) -> bool:
        """Whether every place is taken, so that Redis is not even asked for more."""
        if is_rabbitmq(self._app) or not self._places:
            return False  # RabbitMQ delivers what needs no acknowledgement in any case
        return len(state.reserved_requests) >= self._places > self._hung()

    def _unanswered_seconds(self) -> float:
        since = self._waiting_since
        return 0.0 if since is None else self._since(since)

    @staticmethod
    def _since(at: float) -> float:
        return time.monotonic() - at

    def _step(self) -> type[bootsteps.StartStopStep]:
        liveness = self

        class CanaryStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
            """Consumes the canaries on the channel of the work, whenever that (re)connects."""

            requires = (Tasks,)
            consumer: Any = None

            def start(self, parent: Any) -> None:
                liveness._places = parent.pool.num_processes
                self.consumer = Consumer(
                    parent.task_consumer.channel,
                    queues=[liveness._queue],
                    on_message=liveness._returned,
                    no_ack=True,
                    accept=["json"],
                )
                self.consumer.consume()

            def stop(self, parent: Any) -> None:
                if self.consumer is not None:
                    ignore_errors(parent, self.consumer.cancel)
                    self.consumer = None

        return CanaryStep


class WorkConsumer(CeleryConsumer):  # type: ignore[misc]  # Celery has no types
    """Celery's consumer, which asks often whether a broker is back, and makes no queues for delays.

    Unasked, it would wait up to 30 s between two looks, and make 28 queues on RabbitMQ.
    """

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]
        """What Celery starts, without that."""

        default_steps = tuple(
            step for step in CeleryConsumer.Blueprint.default_steps if "delayed" not in step
        )

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long that takes."""
        conn.ensure_connection = partial(conn.ensure_connection, interval_max=LONGEST_BACK_OFF)
        return super().ensure_connected(conn)
