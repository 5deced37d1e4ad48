"""Gathers what replicas tell about themselves, and answers with what they should serve.

A heartbeat is answered from memory; the journal gets many in one transaction every few seconds, and
at once when a replica changed. Desired state is read for all models in one query, twice a second at
most, however many replicas ask.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping

from steward.errors import JournalUnavailableError
from steward.events import ModelRef
from steward.journal import fleet
from steward.journal.fleet import Heartbeat
from steward.journal.store import Journal
from steward.logs import get_logger
from steward.ports import Desired

WRITTEN_EVERY_SECONDS = 4.0  # a replica counts as gone after 15
READ_EVERY_SECONDS = 0.5
REMEMBERED = 20_000
log = get_logger()


class Heartbeats:
    """The replicas that told us something. Belongs to the event loop that uses it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._told: dict[str, tuple[object, ...]] = {}
        self._unwritten: dict[str, Heartbeat] = {}
        self._has_change = asyncio.Event()
        self._desired: Mapping[ModelRef, Desired] | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Write from now on."""
        self._writing = asyncio.create_task(self._write_always())

    async def close(self) -> None:
        """Write what is left, and stop."""
        if self._writing is not None:
            self._writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writing
        await self._write()

    async def take(self, beat: Heartbeat) -> Desired | None:
        """Note one heartbeat; returns what its model's replicas should serve.

        Raises:
            JournalUnavailableError: we never could read what should be served.

        """
        told = (beat.model, beat.url, beat.version, beat.generation, beat.state, beat.boot_id)
        self._unwritten[beat.id] = beat
        if len(self._told) > REMEMBERED:
            self._told.clear()  # those that live are told apart again; those that died are not kept
        if self._told.get(beat.id) != told:
            self._told[beat.id] = told
            self._has_change.set()
        return (await self._all_desired()).get(beat.model)

    async def _all_desired(self) -> Mapping[ModelRef, Desired]:
        if self._is_stale():
            async with self._reading:
                if self._is_stale():  # nobody read while we waited
                    await self._read()
        return self._desired or {}

    def _is_stale(self) -> bool:
        return self._desired is None or time.monotonic() - self._read_at > READ_EVERY_SECONDS

    async def _read(self) -> None:
        try:
            self._desired = await asyncio.to_thread(fleet.all_desired, self._journal)
        except JournalUnavailableError:
            if self._desired is None:
                raise
            # What was desired a moment ago is the better answer than none.
        self._read_at = time.monotonic()

    async def _write_always(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._has_change.wait(), WRITTEN_EVERY_SECONDS)
            self._has_change.clear()
            await self._write()
            await asyncio.sleep(READ_EVERY_SECONDS)  # a fleet that starts is a few batches

    async def _write(self) -> None:
        batch, self._unwritten = self._unwritten, {}
        if not batch:
            return
        try:
            await asyncio.to_thread(fleet.record_heartbeats, self._journal, list(batch.values()))
        except Exception as error:  # noqa: BLE001  # whatever it is, the next heartbeats go on
            log.warning("heartbeats_not_written", error=str(error), replicas=len(batch))
            self._unwritten = {**batch, **self._unwritten}
        for gone in batch.values():
            if gone.state == "stopping":
                self._told.pop(gone.id, None)
