"""How Celery, Redis and RabbitMQ are set, with the reason for each; ``broker.py`` applies it."""

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
RABBITMQ_QUEUE = {
    "x-queue-type": "quorum",  # replicated and durable: a restart of RabbitMQ loses no message
    # A message that kills its workers is dropped after so many; the journal counts deaths too.
    "x-delivery-limit": 5,
}
