"""The Celery app and the hinter: the only producer of messages.

A message carries a dispatch id and nothing else. The journal is the truth, so the broker may be
emptied at any moment: the sweep hints again.
"""

import queue
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from celery import Celery
from kombu import Connection, Producer, Queue
from prometheus_client import Counter, Gauge

from steward import broker_url as address
from steward.broker_options import (
    NEVER_LOSE,
    RABBITMQ,
    RABBITMQ_OPTIONS,
    RABBITMQ_QUEUE,
    REDIS,
    REDIS_OPTIONS,
)
from steward.events import uuid7
from steward.failpoints import failpoint
from steward.logs import get_logger
from steward.ports import Hint

LOOK_AGAIN_SECONDS = 5.0
"""Between two looks for a broker that is away, while there is nothing to hint."""
QUEUES = ("default", "validation")
HINTS_SENT = Counter("steward_hints_total", "Hints sent to the broker", ["result"])
BROKER_UP = Gauge("steward_broker_up", "1 if the last hint reached the broker, else 0")

RABBITMQ_PREFIX = "steward."  # a virtual host may have others' queues; Redis has the key prefix
CONFIRM_SECONDS = 5.0
PRIORITIES = {"redis": (0, 9), "rabbitmq": (9, 0)}
"""Of a hint, and of a patient one. Redis takes the lowest number first; a quorum queue of RabbitMQ
prefers the half from 5 on (https://www.rabbitmq.com/docs/quorum-queues#priorities)."""


def celery_app(broker_url: str) -> Celery:
    """The app that producers and workers share; queues are declared, none is made by chance.

    Raises:
        ConfigurationError: the URL is of no broker that Steward speaks to.

    """
    where = address.read(broker_url)
    is_redis = where.kind == "redis"
    app = Celery("steward", broker=where.url, set_as_current=False)
    app.conf.update(NEVER_LOSE | (REDIS if is_redis else RABBITMQ))
    app.conf.broker_use_ssl = where.tls
    options: dict[str, Any] = REDIS_OPTIONS if is_redis else RABBITMQ_OPTIONS
    app.conf.broker_transport_options = {**options, **where.options}
    prefix, arguments = ("", None) if is_redis else (RABBITMQ_PREFIX, RABBITMQ_QUEUE)
    app.conf.task_queues = [Queue(prefix + name, queue_arguments=arguments) for name in QUEUES]
    app.conf.task_default_queue = prefix + "default"
    return app


def is_rabbitmq(app: Celery) -> bool:
    """Whether this app speaks to RabbitMQ (else to Redis)."""
    return str(app.conf.task_default_queue).startswith(RABBITMQ_PREFIX)


def queue_on(app: Celery, name: str) -> str:
    """What one of ``QUEUES`` is called at this app's broker."""
    return (RABBITMQ_PREFIX if is_rabbitmq(app) else "") + name


class Hinter:
    """Sends hints from a thread beside the caller, on a connection of its own.

    On Redis many go in one round trip; RabbitMQ confirms each. In a burst beyond the backlog, or
    with the broker away, hints are dropped: workers have enough to do, dispatches stay in the
    journal, and the sweep hints them within seconds.
    """

    BACKLOG = 500
    BATCH = 200

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Connection | None = None
        self._channel: Any = None
        self._is_away = False
        self._backlog: queue.SimpleQueue[Hint | None] = queue.SimpleQueue()
        self._log = get_logger()
        self._thread = threading.Thread(target=self._run, name="hinter", daemon=True)
        self._thread.start()

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
            gathered = [self._next()]
            while len(gathered) < self.BATCH and not self._backlog.empty():
                gathered.append(self._backlog.get())
            is_open = None not in gathered
            self._publish([hint for hint in gathered if hint is not None])
        self._disconnect()

    def _next(self) -> Hint | None:
        """The next hint; while the broker is away, ask for it now and then, for health's sake."""
        while self._is_away:
            try:
                return self._backlog.get(timeout=LOOK_AGAIN_SECONDS)
            except queue.Empty:
                self._look_again()
        return self._backlog.get()

    def _look_again(self) -> None:
        try:
            self._open_channel()
        except Exception:  # noqa: BLE001  # whatever the transport raises: it is away still
            self._disconnect()
        else:
            self._is_away = False
            BROKER_UP.set(1)

    def _publish(self, hints: Iterable[Hint]) -> None:
        unique = {hint.dispatch_id: hint for hint in hints}
        if not unique:
            return
        failpoint("hint.before_publish")
        sent = 0
        try:
            with Producer(self._open_channel(), auto_declare=False) as producer:
                if is_rabbitmq(self._app):
                    for hint in unique.values():
                        self._publish_confirmed(producer, hint)
                        sent += 1
                else:
                    with producer.batch(max_size=self.BATCH):
                        for hint in unique.values():
                            priority = PRIORITIES["redis"][hint.is_patient]
                            _publish_task(producer, hint, hint.queue, priority=priority)
                    sent = len(unique)
        except Exception as error:  # noqa: BLE001  # whatever the transport raises: the sweep repeats
            self._disconnect()  # what it answers later must not be taken for another's answer
            if BROKER_UP._value.get() != 0:  # noqa: SLF001  # once an outage, not once a hint
                self._log.warning("broker_unreachable", error=str(error), hints=len(unique) - sent)
            HINTS_SENT.labels("failed").inc(len(unique) - sent)
        else:
            failpoint("hint.after_publish")
        self._is_away = sent < len(unique)
        BROKER_UP.set(not self._is_away)
        HINTS_SENT.labels("sent").inc(sent)

    def _publish_confirmed(self, producer: Producer, hint: Hint) -> None:
        """Returns when RabbitMQ has it in a queue; a queue that no worker made yet is made here."""
        declared = self._app.amqp.queues[queue_on(self._app, hint.queue)]
        _publish_task(
            producer,
            hint,
            declared.name,
            priority=PRIORITIES["rabbitmq"][hint.is_patient],
            declare=[declared],
            mandatory=True,
            confirm_timeout=CONFIRM_SECONDS,
        )

    def _open_channel(self) -> Any:
        if self._channel is None:
            self._connection = self._app.connection_for_write()
            self._channel = self._connection.channel()
        return self._channel

    def _disconnect(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with suppress(Exception):
                connection.collect(socket_timeout=1)


def _publish_task(producer: Producer, hint: Hint, routing_key: str, **more: Any) -> None:
    """One task message, by Celery's protocol 2; ``send_task`` takes three times as long for it.

    https://docs.celeryq.dev/en/stable/internals/protocol.html
    """
    task_id = uuid7()
    producer.publish(
        ((hint.dispatch_id,), {}, _NO_FOLLOW_UP),
        serializer="json",
        exchange="",
        routing_key=routing_key,
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
        **more,
    )


_NO_FOLLOW_UP = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
