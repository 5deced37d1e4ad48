"""Which version is served: the rules of generations, and the swap. All on the event loop.

The HTTP calls ``/prepare`` and ``/reload`` and the heartbeat's desired state all come through here.
Only loading leaves the loop (for the loader thread), so no step between two awaits can be
interleaved and no lock guards the table.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from serving.loader import Loader
from serving.slot import Slot, Table
from serving.telemetry import Telemetry
from steward.errors import StewardError, TransientError
from steward.logs import get_logger

log = get_logger()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Order:
    """What a reload asks for: this version, as of this generation."""

    version: str
    generation: int


class StaleOrderError(StewardError):
    """A newer generation is served or on its way; the order is refused."""


class Reloader:
    """Holds the slot table of a replica and is the only one to replace it."""

    def __init__(self, loader: Loader, telemetry: Telemetry) -> None:
        self.table = Table()
        self.last_error: str | None = None
        self.loading: str | None = None
        self.changed = asyncio.Event()
        self._loader = loader
        self._telemetry = telemetry
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._one_load = asyncio.Lock()
        self._wanted: Order | None = None
        self._settling: asyncio.Future[None] | None = None

    @property
    def state(self) -> str:
        """``ready`` (also while another version loads), ``loading`` the first one, or ``empty``."""
        if self.table.champion is not None:
            return "ready"
        return "loading" if self.loading else "empty"

    async def reload(self, order: Order) -> str | None:
        """Serve what is ordered, loading it first if it is not held; returns the version before it.

        Raises:
            StaleOrderError: a newer order stands, or came while this one was loading.
            PermanentError, TransientError: it could not be loaded; what was served still is.

        """
        started = time.perf_counter()
        try:
            previous = await self._reload(order)
        except StewardError as error:
            result = "stale" if isinstance(error, StaleOrderError) else "failed"
            self._telemetry.reloaded(result, time.perf_counter() - started)
            raise
        self._telemetry.reloaded("served", time.perf_counter() - started)
        return previous

    async def prepare(self, version: str) -> float:
        """Load and warm up beside what is served; returns the seconds it took.

        Not fenced by generations: it changes nothing that is served, and a promotion prepares
        before its generation exists.
        """
        started = time.perf_counter()
        async with self._one_load:
            held = self.table.held(version)
            slot = await self._load(version, held)
            if slot is not held:
                self.table = replace(self.table, prepared=slot)
        return time.perf_counter() - started

    async def start_with_champion(self) -> bool:
        """Serve what the registry calls Production; False if it has none."""
        version = await self._in_thread(self._loader.champion)
        if version is None:
            return False
        async with self._one_load:
            slot = self.table.held(version) or await self._load(version)
        self._serve_unless_ordered(slot)
        return True

    async def start_with_last_known_good(self) -> bool:
        """Serve what this machine served last; False if it never did."""
        async with self._one_load:
            slot = await self._in_thread(self._loader.last_known_good)
        if slot is None:
            return False
        self._serve_unless_ordered(slot)
        return True

    def close(self) -> None:
        """Take no more loads."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _reload(self, order: Order) -> str | None:
        self._refuse_stale(order)
        self._wanted = order
        # A held version (prepared, previous) is only a pointer away: it waits for no other load.
        slot = self.table.held(order.version)
        if slot is None:
            async with self._one_load:
                self._refuse_stale(order)
                slot = self.table.held(order.version) or await self._load_ordered(order)
            self._refuse_stale(order)
        return self._serve(slot, order.generation)

    async def _load_ordered(self, order: Order) -> Slot:
        try:
            return await self._load(order.version)
        except BaseException:
            if self._wanted == order:
                self._wanted = None
            raise

    def _refuse_stale(self, order: Order) -> None:
        """The highest generation wins; one generation never names two versions."""
        standing = [self._wanted] if self._wanted else []
        if self.table.champion is not None:
            standing.append(Order(self.table.champion.version, self.table.generation))
        for other in standing:
            if order.generation < other.generation:
                raise StaleOrderError(
                    f"Generation {order.generation} is older than {other.generation}."
                )
            if order.generation == other.generation and order.version != other.version:
                raise StaleOrderError(
                    f"Generation {order.generation} is version {other.version} here, "
                    f"not {order.version}."
                )

    async def _load(self, version: str, held: Slot | None = None) -> Slot:
        self.loading = version
        self.changed.set()
        try:
            slot = await self._in_thread(lambda: self._loader.load(version, held))
        except StewardError as error:
            self.last_error = str(error)
            log.warning("version_not_loaded", version=version, error=str(error))
            raise
        finally:
            self.loading = None
            self.changed.set()
        return slot

    def _serve_unless_ordered(self, slot: Slot) -> None:
        """The start's own choice yields to any order that came meanwhile."""
        if self.table.generation == 0 and self._wanted is None:
            self._serve(slot, 0)

    def _serve(self, slot: Slot, generation: int) -> str | None:
        is_new = slot is not self.table.champion
        self.table = table = self.table.serving(slot, generation, datetime.now(UTC))
        self.last_error = None
        self.changed.set()
        self._telemetry.serves(table)
        if is_new:
            log.info("version_served", version=slot.version, generation=generation)
            loop = asyncio.get_running_loop()
            self._settling = loop.run_in_executor(self._thread, self._settle, table)
        return table.previous.version if table.previous else None

    def _settle(self, table: Table) -> None:
        try:
            self._loader.settle(table)
        except TransientError as error:  # a full disk costs the next start its cache, not this one
            log.warning("cache_not_kept", error=str(error))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        context = copy_context()  # its logs carry what ours do
        return await asyncio.get_running_loop().run_in_executor(self._thread, context.run, call)
