"""Runs one Celery worker until it is told to stop."""

from steward import health
from steward.broker import queue_on
from steward.logs import get_logger
from steward.settings import Settings
from workers.tasks import create_app

POOLS = {"default": ("threads", 8), "validation": ("prefork", 2)}
"""Pool and concurrency of each queue: threads wait on others, forks can be limited and killed."""


def run(settings: Settings, *, queue: str, concurrency: int | None = None) -> None:
    """Consume ``queue`` (default or validation) until SIGTERM.

    Raises:
        ConfigurationError: a setting or the policy file is wrong.

    """
    app, process = create_app(settings, queue)
    health.serve(
        settings.health_port, host=settings.host, is_ready=lambda: not process.liveness.is_late
    )
    process.begin()
    pool, default_concurrency = POOLS[queue]
    get_logger().info("worker_starting", queue=queue, pool=pool)
    try:
        app.worker_main(
            [
                "--quiet",
                "worker",
                f"--queues={queue_on(app, queue)}",
                f"--pool={pool}",
                f"--concurrency={concurrency or default_concurrency}",
                f"--hostname={queue}@%h",
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
                "--loglevel=WARNING",
            ]
        )
    finally:
        process.leave()
