"""What Steward's worker is compared with: plain Celery, late acknowledgement, nothing durable.

Run as ``python -m benchmarks.plain_worker FILE COUNT``: after ``COUNT`` tasks it writes to ``FILE``
when each was sent and when it began, as JSON.
"""

import json
import os
import sys
import time
from pathlib import Path

from celery import Celery

CONCURRENCY = 8


def plain_app(broker_url: str) -> Celery:
    """Celery as a team sets it up; acknowledged late, as Steward's, so that a crash loses none."""
    app = Celery("plain", broker=broker_url)
    app.conf.task_acks_late = True
    app.conf.task_ignore_result = True
    app.conf.task_default_queue = "plain"
    app.conf.broker_connection_retry_on_startup = True
    return app


def main() -> None:
    file, count = Path(sys.argv[1]), int(sys.argv[2])
    app = plain_app(os.environ["STEWARD_BROKER_URL"])
    noted: list[tuple[float, float]] = []

    @app.task(name="handle")  # type: ignore[untyped-decorator]  # Celery has no types
    def handle(_event: object, sent_at: float = 0.0) -> None:
        noted.append((sent_at, time.time()))
        if len(noted) == count:
            unfinished = file.with_suffix(".unfinished")
            unfinished.write_text(json.dumps(noted))
            unfinished.replace(file)

    app.worker_main(
        [
            *("--quiet", "worker", "--queues=plain", "--pool=threads"),
            *(f"--concurrency={CONCURRENCY}", "--without-gossip", "--without-mingle"),
            *("--without-heartbeat", "--loglevel=WARNING"),
        ]
    )


if __name__ == "__main__":
    main()
