"""A worker whose consumer loop is wedged as soon as a file exists; the process lives on.

``python tests/wedged_worker.py worker --queue default`` is the real role; only Celery's event loop
is given a callback that never returns, as a library that blocks in it would.
"""

import os
import time
from pathlib import Path
from typing import Any

from celery.signals import worker_ready

from steward.cli import main


def _wedge_when_told() -> None:
    if Path(os.environ["WEDGE_WHEN"]).exists():
        time.sleep(3600)


def _watch(sender: Any, **_: Any) -> None:
    sender.timer.call_repeatedly(0.1, _wedge_when_told)


if __name__ == "__main__":
    worker_ready.connect(_watch, weak=False)
    main()
