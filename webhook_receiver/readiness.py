"""Whether the journal takes a write, asked once a second however many probes come."""

import asyncio
import time

from steward.journal.store import Journal

REMEMBERED_SECONDS = 1.0


class Readiness:
    """Remembers the last answer for a second. Belongs to the event loop that uses it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._asked_at: float | None = None
        self._is_ready = False
        self._asking = asyncio.Lock()

    async def is_ready(self) -> bool:
        """The answer, at most a second old."""
        async with self._asking:
            now = time.monotonic()
            if self._asked_at is None or now - self._asked_at >= REMEMBERED_SECONDS:
                self._is_ready = await asyncio.to_thread(self._journal.is_writable)
                self._asked_at = time.monotonic()
        return self._is_ready
