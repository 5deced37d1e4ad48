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
from steward.events import uuid7
from steward.failpoints import failpoint
from steward.logs import get_logger
from steward.ports import Hint

LOOK_AGAIN_SECONDS = 5.0
"""Between two looks for a broker that is away, while there is nothing to hint."""
QUEUES = ("default", "validation")
HINTS_SENT = Counter("steward_hints_total", "Hints sent to the broker", ["result"])
BROKER_UP = Gauge("steward_broker_up", "1 if the last hint reached the broker, else 0")

NEVER_LOSE = {
    # A result would be a second truth beside the journal.
    "task_ignore_result": True,
    "result_backend": None,
    # Messages are read by nothing that could run code out of them.
    "task_serializer": "json",
    "accept_content": ["json"],
    # A message leaves the broker when its work is done, so a killed worker's comes back early; and
    # it leaves whatever became of the work, for the journal decides what is tried again.
    "task_acks_late": True,
    "task_reject_on_worker_lost": False,  # True would loop for ever with what kills its worker
    "task_acks_on_failure": True,
    "task_acks_on_timeout": True,
    # Nobody keeps messages that another could work on.
    "worker_prefetch_multiplier": 1,
    "worker_eta_task_limit": 100,  # we send no ETA; were there some, they could not flood memory
    # The lease decides who may go on, not the connection to the broker.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    # What runs at SIGTERM has a moment to end; then workers/tasks.py hands it back.
    "worker_soft_shutdown_timeout": 5,
    "worker_enable_soft_shutdown_on_idle": False,
    # Models leak: a fork ends after so many, or at so many kilobytes.
    "worker_max_tasks_per_child": 1000,  # seconds in which one place less works: not often
    "worker_max_memory_per_child": 900_000,
    # Logging is ours.
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    # Nothing but work goes over the broker: no events, and no remote control, whose queues are
    # transient, which newer RabbitMQ forbids.
    "worker_send_task_events": False,
    "worker_enable_remote_control": False,
    # Forks are killed by these; threads by their lease, see workers/running.py.
    "task_time_limit": 600,
    "task_soft_time_limit": 540,
    "task_publish_retry": False,  # the sweep repeats; a publisher that waits holds others up
    "task_create_missing_queues": False,  # a misspelt queue is an error
    # A broker that is away, at the start or later, is waited for, however long.
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_connection_timeout": 4,
    "broker_pool_acquire_timeout": 5,
}
REDIS = {
    # A busy worker takes nothing from Redis, where taking means holding until the timeout below.
    "worker_disable_prefetch": True,
    "visibility_timeout": 1200,  # twice the longest task: none is delivered again while it runs
}
REDIS_OPTIONS = {
    "visibility_timeout": 1200,  # kombu's own; both must say the same
    # What a dead worker held is back within seconds of the timeout; the defaults add 100 s.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    # Without these a half-open connection hangs the worker for ever.
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 5,
    "retry_on_timeout": False,  # a publish that timed out may have arrived: the sweep decides
    "global_keyprefix": "steward:",  # others may use the same database
}
RABBITMQ = {
    # Quorum queues know no global prefetch limit; Celery leaves it out where it sees them.
    "worker_detect_quorum_queues": True,
    "worker_disable_prefetch": False,  # Redis alone has it; here the multiplier of 1 does the same
    "broker_heartbeat": 5,  # a half-open connection is noticed within about twice so many seconds
    "broker_heartbeat_checkrate": 2,
}
RABBITMQ_OPTIONS = {
    "confirm_publish": True,  # else a message that RabbitMQ could not keep counts as sent
    # A broker that takes connections and answers nothing must not hold the hinter up.
    "read_timeout": 10,
    "write_timeout": 10,
}
RABBITMQ_PREFIX = "steward."  # a virtual host may have others' queues; Redis has the key prefix
RABBITMQ_QUEUE = {
    "x-queue-type": "quorum",  # replicated and durable: a restart of RabbitMQ loses no message
    # A message that kills its workers is dropped after so many; the journal counts deaths too.
    "x-delivery-limit": 5,
}
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
