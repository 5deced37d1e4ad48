"""One commit for many: whoever gets the writer's lock writes for all who wait for it.

SQLite has one writer, and its commit waits for the disk. The threads of a worker claim and record
at once, so they share that wait. Each has its own part of the transaction: what fails in one part
undoes that part alone, and nobody is answered before the commit.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:  # the store uses this module
    from steward.journal.store import Transaction

T = TypeVar("T")
MOST = 64
"""Parts of one transaction: those who come later wait no longer than for so many."""


@dataclass(slots=True)
class _Part:
    work: "Callable[[Transaction], Any]"
    result: Any = None
    error: BaseException | None = None
    is_over: bool = False


class SharedCommit:
    """Gathers the parts of threads; ``begin`` opens a transaction, to be called under ``lock``."""

    def __init__(
        self, lock: threading.Lock, begin: "Callable[[], AbstractContextManager[Transaction]]"
    ) -> None:
        self._lock = lock
        self._begin = begin
        self._waiting: deque[_Part] = deque()

    def write(self, work: "Callable[[Transaction], T]") -> T:
        """What ``work`` returned, after the commit; or what it, or the commit, raised."""
        mine = _Part(work)
        self._waiting.append(mine)
        with self._lock:
            while not mine.is_over:
                self._write_all()
        if mine.error is not None:
            raise mine.error
        return cast("T", mine.result)

    def _write_all(self) -> None:
        parts = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST))]
        try:
            with self._begin() as whole:
                if len(parts) == 1:
                    parts[0].result = parts[0].work(whole)
                else:
                    for part in parts:
                        _write_part(whole, part)
        except BaseException as error:  # noqa: BLE001  # nothing was written, for anybody
            for part in parts:
                part.error = error
        finally:
            for part in parts:
                part.is_over = True


def _write_part(whole: "Transaction", part: _Part) -> None:
    run = whole.connection.exec_driver_sql
    run("SAVEPOINT part")
    try:
        mine = replace(whole, hints=[], counts=Counter())
        part.result = part.work(mine)
        whole.counts.update(mine.counts)
    except Exception as error:  # noqa: BLE001  # its caller's, who gets it
        # Where SQLite gave up the whole transaction (a full disk), this fails, and so do all.
        run("ROLLBACK TO part")
        part.error = error
    run("RELEASE part")
