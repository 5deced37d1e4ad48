"""Predictions run here: few threads and a bounded queue in front of the slot's model.

More threads than cores make every prediction slower, and an unbounded queue makes every client
time out; a full queue is said at once instead, and the client tries another replica.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from serving.slot import Answer, Slot
from steward.errors import TransientError

_THREADS = min(2, os.cpu_count() or 1)
_QUEUE_LIMIT = 64
_RETRY_AFTER_SECONDS = 1.0


class BusyError(TransientError):
    """As many predictions wait as may wait; come back later."""


class Predictor:
    """The bounded executor of one replica."""

    def __init__(self, *, threads: int = _THREADS, queue_limit: int = _QUEUE_LIMIT) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._limit = threads + queue_limit
        self._taken = 0

    def depth(self) -> int:
        """Predictions running or waiting."""
        return self._taken

    async def score(self, slot: Slot, body: bytes, content_type: str) -> Answer:
        """Score one request.

        Raises:
            BusyError: the queue is full. ScoringError: the request cannot be scored.

        """
        if self._taken >= self._limit:
            raise BusyError(
                f"{self._taken} predictions are waiting already.",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )
        self._taken += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, slot.score, body, content_type)
        finally:
            self._taken -= 1

    def close(self) -> None:
        """Take no more predictions."""
        self._pool.shutdown(wait=False, cancel_futures=True)
