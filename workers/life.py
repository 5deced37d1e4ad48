"""The life of one worker process: its runner, its row in the journal, its canary and its end.

The queue ``default`` runs threads: one process has it all. The queue ``validation`` forks: the
parent consumes and is present, each child has a runner and an eye on the parent.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery

from steward import logs
from steward.broker import Hinter
from steward.journal.opening import open_journal
from steward.journal.processes import Presence, process_name
from steward.journal.routing import Routing
from steward.journal.store import Journal
from steward.logs import get_logger
from steward.settings import Settings
from workers.liveness import Liveness
from workers.running import Runner

SHUTDOWN_GRACE_SECONDS = 4.0
"""What runs may end by itself for so long; then it is handed back."""
LONGEST_END_SECONDS = 15.0
"""Celery waits for a broker that is away even when told to stop; nobody waits longer than this."""
PARENT_CHECK_SECONDS = 1.0


class WorkerProcess:
    """Everything of one process; ``make_runner`` is called where work is handled."""

    def __init__(
        self,
        settings: Settings,
        app: Celery,
        *,
        queue: str,
        make_runner: Callable[[Settings, Hinter], Runner],
    ) -> None:
        self._settings, self._app, self._queue = settings, app, queue
        self._make_runner = make_runner
        self._runner: Runner | None = None
        self._ending = threading.Lock()  # taken once, by who ends the process, and never given back
        # Forked children hold the reading end, and see when the writing end is closed.
        self._lifeline, writing = os.pipe()
        self._lifeline_of_parent: int | None = writing
        self._pid = os.getpid()
        name = process_name("worker")
        self.liveness = Liveness(
            app,
            name=name,
            every_seconds=settings.canary_seconds,
            limit_seconds=settings.canary_limit_seconds,
            gone=self._give_up,
            hung=lambda: self._runner.hung if self._runner else 0,
        )
        journal = open_journal(settings, Routing({}))
        journal.close()  # opened again for each sign
        self._presence = Presence(
            journal,
            name=name,
            role="worker",
            queue=queue,
            canary=self.liveness.canary,
            around=_not_while_forking(journal),
        )

    def run(self, dispatch_id: str) -> None:
        if self._runner is None:  # acknowledged and dropped, nobody would know
            raise RuntimeError("this process has no runner")
        self._runner.run(dispatch_id)

    def begin(self) -> None:
        """In the process that consumes."""
        self._presence.start()
        if self._queue == "default":
            self._start_runner()  # it imports MLflow, for which a busy machine takes long
        self.liveness.start()  # from here on nothing but Celery's start keeps it from consuming

    def begin_child(self, **_: Any) -> None:
        """In a forked child: own connections, and an eye on the parent.

        Celery swallows what this raises, and would let a child live that can do nothing.
        """
        try:
            self._begin_child()
        except Exception:  # noqa: BLE001  # whatever it is, the next child may have better luck
            get_logger().exception("fork_not_ready")
            time.sleep(PARENT_CHECK_SECONDS)
            os._exit(1)

    def _begin_child(self) -> None:
        random.seed()
        logs.configure("worker-validation", log_format=self._settings.log_format)
        self._cut_lifeline()  # else no child ever saw its end
        self._start_runner()
        threading.Thread(target=self._end_with, args=(os.getppid(),), daemon=True).start()

    def end_soon(self, **_: Any) -> None:
        """Told to stop: claim nothing more, finish what runs for a moment, hand back the rest."""
        if not self._ending.acquire(blocking=False):
            return
        self._stop_claiming()
        threading.Thread(target=self._end, daemon=True).start()

    def end_child(self, **_: Any) -> None:
        """The last thing of a forked child: what it started ends with it."""
        self._close_runner()

    def leave(self) -> None:
        """The last thing of a process that ends by itself: what it started ends, its row goes."""
        if os.getpid() == self._pid:
            self._close_runner()
            self._presence.close()

    # -- inside ---------------------------------------------------------------------------------

    def _start_runner(self) -> None:
        self._runner = self._make_runner(self._settings, Hinter(self._app))

    def _close_runner(self) -> None:
        if self._runner is not None:
            self._runner.close()

    def _stop_claiming(self) -> None:
        self._cut_lifeline()
        if self._runner is not None:
            self._runner.stop()

    def _cut_lifeline(self) -> None:
        end, self._lifeline_of_parent = self._lifeline_of_parent, None
        if end is not None:
            os.close(end)

    def _end(self) -> None:
        began = time.monotonic()
        if not self._hand_back():
            self.leave()
            os._exit(0)  # a handler that hangs must not hold the process
        time.sleep(max(0.0, began + LONGEST_END_SECONDS - time.monotonic()))
        self.leave()
        os._exit(0)

    def _hand_back(self) -> bool:
        """Whether everything ended by itself; what did not is another worker's now."""
        runner = self._runner
        deadline = time.monotonic() + SHUTDOWN_GRACE_SECONDS
        while runner and not runner.is_idle and time.monotonic() < deadline:
            time.sleep(0.05)
        if runner is None or runner.is_idle:
            return True
        runner.hand_back()
        return False

    def _give_up(self, reason: str) -> None:
        """It does not consume any more: hand back, and let the supervisor start another."""
        get_logger().error("worker_stopped_consuming", reason=reason, exit_code=1)
        try:
            if self._ending.acquire(blocking=False):
                self._stop_claiming()
            self._hand_back()
            if self._queue == "validation":
                time.sleep(SHUTDOWN_GRACE_SECONDS + 1)  # the children hand back by themselves
            self.leave()
        finally:
            os._exit(1)

    def _end_with(self, parent: int) -> None:
        """Wait until the parent stops or dies; then do as it would, for Celery tells no child."""
        os.read(self._lifeline, 1)
        if self._runner is not None:
            self._runner.stop()
        if self._hand_back():
            while os.getppid() == parent:
                time.sleep(PARENT_CHECK_SECONDS)
        self._close_runner()
        os._exit(0)


def _not_while_forking(journal: Journal) -> Callable[[], Any]:
    """A place to use the journal in a process that forks.

    SQLite's locks do not survive a fork: a child of a process that has the database open would
    believe in locks that it does not hold (https://sqlite.org/howtocorrupt.html, 2.6). So a fork
    waits until the journal is closed again.
    """
    lock = threading.Lock()
    os.register_at_fork(
        before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
    )

    @contextmanager
    def around() -> Iterator[None]:
        with lock:
            try:
                yield
            finally:
                journal.close()

    return around
