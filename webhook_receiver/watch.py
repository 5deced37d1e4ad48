"""Lets many callers wait for verdicts at the cost of one: a single look at the journal for all."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping

from steward.errors import JournalUnavailableError
from steward.events import ModelRef
from steward.journal import catalog
from steward.journal.catalog import Standing
from steward.journal.store import Journal
from steward.logs import get_logger

LOOK_EVERY_SECONDS = 0.2
LOOK_ANYWAY_SECONDS = 2.0
"""An end without an event (a dispatch that was skipped) is found by looking again regardless."""
log = get_logger()

Key = tuple[ModelRef, str]
Standings = Mapping[Key, Standing]


class VerdictWatch:
    """Who waits for which version; looks only while somebody does. Belongs to its event loop."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: Counter[Key] = Counter()
        self._news: asyncio.Future[Standings] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def count(self) -> int:
        """How many wait now."""
        return self._waiting.total()

    async def wait(
        self,
        model: ModelRef,
        version: str,
        *,
        seconds: float,
        is_enough: Callable[[Standing], bool],
    ) -> Standing:
        """The standing of a version, as soon as it is enough, at the latest after ``seconds``."""
        deadline, key = time.monotonic() + seconds, (model, version)
        standing = (await asyncio.to_thread(catalog.standings, self._journal, [key]))[key]
        self._waiting[key] += 1
        try:
            while not is_enough(standing) and not self._is_closed:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    break
                found = await self._next(remaining)
                standing = found.get(key, standing)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
        return standing

    def close(self) -> None:
        """Let everybody go with what is known; stop looking."""
        self._is_closed = True
        if self._looking is not None:
            self._looking.cancel()
        if self._news is not None and not self._news.done():
            self._news.set_result({})

    async def _next(self, seconds: float) -> Standings:
        if self._news is None or self._news.done():
            self._news = asyncio.get_running_loop().create_future()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        news = self._news
        await asyncio.wait([news], timeout=seconds)
        return news.result() if news.done() else {}

    async def _look(self) -> None:
        seen, looked_at = -1, 0.0
        while self._waiting:
            try:
                mark = await asyncio.to_thread(catalog.newest_event, self._journal)
                if mark != seen or time.monotonic() - looked_at > LOOK_ANYWAY_SECONDS:
                    keys = list(self._waiting)
                    found = await asyncio.to_thread(catalog.standings, self._journal, keys)
                    seen, looked_at = mark, time.monotonic()
                    self._tell(found)
            except JournalUnavailableError as error:
                log.warning("verdicts_not_read", error=str(error))
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    def _tell(self, found: Standings) -> None:
        told, self._news = self._news, None
        if told is not None and not told.done():
            told.set_result(found)
