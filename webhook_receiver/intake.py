"""Group commit: deliveries that wait at the same time share one transaction of the journal.

The door hands each delivery in and waits; one writer thread commits what has gathered while it
committed the last batch. A receipt is given after the commit, never before.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from prometheus_client import Histogram

from steward.errors import JournalUnavailableError
from steward.failpoints import failpoint
from steward.journal import deliveries
from steward.journal.deliveries import Delivery, Receipt
from steward.journal.store import Journal
from steward.logs import get_logger
from steward.ports import Hint

BATCH = 128
WAITING = 2048
LONGEST_WAIT_SECONDS = 4.0
"""After this a sender is told 503: MLflow itself waits for no longer than it must, and tries again.
A database that hangs answers nothing at all, and a locked one only after several batches."""
BATCH_SIZE = Histogram(
    "steward_intake_batch_size",
    "Deliveries that shared one transaction",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
COMMIT_SECONDS = Histogram(
    "steward_intake_commit_seconds",
    "Seconds that one batch took to be durable",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
)
log = get_logger()

Hinted = Callable[[list[Hint]], None]
_Waiting = tuple[Delivery, "asyncio.Future[Receipt]"]


class Intake:
    """The waiting deliveries and their one writer. Belongs to the event loop that uses it."""

    def __init__(self, journal: Journal, hint: Hinted) -> None:
        self._journal = journal
        self._hint = hint
        self._waiting: deque[_Waiting] = deque()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="intake")
        self._committing: asyncio.Task[None] | None = None
        self._is_closed = False

    async def record(self, delivery: Delivery) -> Receipt:
        """Wait until the delivery is durable.

        Raises:
            JournalUnavailableError: the journal took no write (in time), too many wait, or we are
                stopping. What could not be taken in time may be journalled all the same.

        """
        if self._is_closed or len(self._waiting) >= WAITING:
            raise JournalUnavailableError("Too many deliveries wait for the journal.")
        receipt = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery, receipt))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())
        try:
            answer: Receipt = await asyncio.wait_for(receipt, LONGEST_WAIT_SECONDS)
        except TimeoutError as error:
            raise JournalUnavailableError(
                f"The journal took no write within {LONGEST_WAIT_SECONDS:g} seconds."
            ) from error
        return answer

    async def refuse(self, delivery: Delivery, reason: str) -> None:
        """Keep an authentic delivery that is refused. JournalUnavailableError as above."""
        loop = asyncio.get_running_loop()
        kept = loop.run_in_executor(
            self._writer, deliveries.refuse, self._journal, delivery, reason
        )
        try:
            await asyncio.wait_for(kept, LONGEST_WAIT_SECONDS)
        except TimeoutError as error:
            raise JournalUnavailableError("The journal took no write in time.") from error

    async def close(self) -> None:
        """Take nothing more, and commit what waits."""
        self._is_closed = True
        while self._committing is not None:
            await self._committing
        self._writer.shutdown()

    async def _commit_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                count = min(BATCH, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(count)]
                # Who was told 503 sends again: the rest of an outage must not delay the others.
                if waiting := [each for each in batch if not each[1].done()]:
                    await self._commit(loop, waiting)
        finally:
            self._committing = None

    async def _commit(self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting]) -> None:
        try:
            receipts = await loop.run_in_executor(
                self._writer, self._write, [delivery for delivery, _ in batch]
            )
        except JournalUnavailableError as error:
            log.warning("journal_took_no_batch", error=str(error), deliveries=len(batch))
            for _, receipt in batch:
                _answer(receipt, error)
        except Exception as error:  # one delivery must not spoil the batch
            if len(batch) > 1:
                for one in batch:
                    await self._commit(loop, [one])
                return
            delivery, receipt = batch[0]
            log.exception("delivery_not_journalled", delivery_id=delivery.delivery_id)
            _answer(receipt, error)
        else:
            for (_, receipt), answer in zip(batch, receipts, strict=True):
                _answer(receipt, answer)

    def _write(self, batch: Sequence[Delivery]) -> list[Receipt]:
        began = time.perf_counter()
        receipts, hints = deliveries.record(self._journal, batch)
        failpoint("intake.after_commit")
        COMMIT_SECONDS.observe(time.perf_counter() - began)
        BATCH_SIZE.observe(len(batch))
        if hints:
            self._hint(hints)
        return receipts


def _answer(receipt: "asyncio.Future[Receipt]", answer: Receipt | Exception) -> None:
    if receipt.done():  # the sender hung up; what it sent is journalled all the same
        return
    if isinstance(answer, Exception):
        receipt.set_exception(answer)
    else:
        receipt.set_result(answer)
