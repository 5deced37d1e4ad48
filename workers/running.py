"""Runs one dispatch: claim, call the handler, record. The tasks call it; it knows no Celery."""

import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from prometheus_client import Counter, Histogram

from steward.errors import (
    JournalUnavailableError,
    LeaseLostError,
    StewardError,
)
from steward.failpoints import failpoint
from steward.journal import claims, dispatches
from steward.journal.claims import Claimed
from steward.journal.store import Journal
from steward.logs import get_logger
from steward.ports import Done, Handler, Hint, Outcome, Services, Skipped, Wait
from workers import retries

ATTEMPTS = Counter("steward_attempts_total", "Attempts by handler", ["handler", "outcome"])
SECONDS = Histogram("steward_handler_seconds", "Time in a handler", ["handler"])
STARTED_AFTER = Histogram(
    "steward_start_delay_seconds",
    "From a dispatch being due for the first time to its first claim",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
)


LONGEST_HANDLING_SECONDS = 600.0
"""A lease is extended for so long; Celery's own limit does not reach into threads."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A claim of this process, and since when (monotonic seconds)."""

    claimed: Claimed
    since: float = field(default_factory=time.monotonic)

    @property
    def hangs(self) -> bool:
        return time.monotonic() - self.since > LONGEST_HANDLING_SECONDS


class Runner:
    """Everything a worker process needs to run dispatches; shared by its threads.

    ``known`` names its handlers (None: all); what a newer Steward dispatches to others is left.
    ``end_services`` ends what the services started, with the process.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        owner: str,
        handlers: Callable[[str], Handler],
        services_for: Callable[[Claimed], Services | Skipped],
        hint: Callable[[Sequence[Hint]], None],
        lease_seconds: float,
        known: Collection[str] | None = None,
        end_services: Callable[[], None] | None = None,
    ) -> None:
        self._journal = journal
        self._owner = owner
        self._handlers = handlers
        self._services_for = services_for
        self._hint = hint
        self._lease_seconds = lease_seconds
        self._known = known
        self._end_services = end_services
        # By dispatch and token: after a hang, the same process may hold a dispatch a second time.
        self._held: dict[tuple[str, int], _Held] = {}
        self._claiming = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._log = get_logger()
        threading.Thread(target=self._keep_leases, name="leases", daemon=True).start()

    def run(self, dispatch_id: str) -> None:
        """Handle what the hint named (or its lane's oldest). Never raises: the journal has it."""
        with self._lock:
            if self._stopping.is_set():
                return
            self._claiming += 1
        try:
            claimed = self._claim(dispatch_id)
        finally:
            with self._lock:
                self._claiming -= 1
        if claimed is None:
            return
        failpoint("claim.after_commit")
        with self._bound(claimed):
            self._handle(claimed)

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping.set()

    def hand_back(self) -> None:
        """Release what is still held, so that another worker takes it at once."""
        self.stop()
        with self._lock:
            held = [each.claimed for each in self._held.values()]
        for claimed in held:
            try:
                self._hint(dispatches.release(self._journal, claimed))
                self._log.info("dispatch_handed_back", dispatch_id=claimed.work.dispatch_id)
            except StewardError as error:
                self._log.warning("release_failed", error=str(error))

    def close(self) -> None:
        """Claim nothing more, and end what the services started; the process ends next."""
        self.stop()
        if self._end_services is not None:
            self._end_services()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being handled, or about to be."""
        with self._lock:
            return not self._held and not self._claiming

    @property
    def hung(self) -> int:
        """How many handlers run for longer than any may."""
        with self._lock:
            return sum(each.hangs for each in self._held.values())

    # -- inside ---------------------------------------------------------------------------------

    def _claim(self, dispatch_id: str) -> Claimed | None:
        try:
            claimed = claims.claim(
                self._journal,
                dispatch_id,
                self._owner,
                lease_seconds=self._lease_seconds,
                known=self._known,
            )
        except JournalUnavailableError as error:
            self._log.warning("claim_failed", dispatch_id=dispatch_id, error=str(error))
            return None  # the sweep hints it again
        if claimed is not None:
            with self._lock:
                self._held[claimed.work.dispatch_id, claimed.token] = _Held(claimed)
        return claimed

    def _handle(self, claimed: Claimed) -> None:
        work = claimed.work
        try:
            with SECONDS.labels(work.handler).time():
                outcome = self._call(claimed)
            failpoint("handler.after_call")
            hints = dispatches.record(self._journal, claimed, outcome)
            failpoint("record.after_commit")
            self._hint(hints)
        except LeaseLostError:
            self._log.warning("lease_lost")
            ATTEMPTS.labels(work.handler, "lease_lost").inc()
        except Exception as error:  # noqa: BLE001  # every failure is recorded, then judged
            self._failed(claimed, error)
        else:
            word = {Done: "succeeded", Skipped: "skipped", Wait: "waiting"}[type(outcome)]
            note = outcome.note if isinstance(outcome, Done) else outcome.reason
            ATTEMPTS.labels(work.handler, word).inc()
            self._log.info("dispatch_" + word, note=note or None)

    def _call(self, claimed: Claimed) -> Outcome:
        services = self._services_for(claimed)
        if isinstance(services, Skipped):
            return services
        return self._handlers(claimed.work.handler)(claimed.event, services)

    def _failed(self, claimed: Claimed, error: Exception) -> None:
        verdict = retries.after(
            error,
            failures=claimed.work.failures + 1,
            random=random.random(),  # noqa: S311  # jitter
        )
        is_expected = isinstance(error, StewardError)
        text = str(error) if is_expected else f"{type(error).__name__}: {error}"
        retry_in = verdict.retry_in_seconds
        self._log.warning(
            "dispatch_failed",
            error=text,
            retry_in_seconds=round(retry_in, 1) if retry_in is not None else None,
            exc_info=None if is_expected else error,
        )
        ATTEMPTS.labels(claimed.work.handler, "failed" if retry_in is not None else "dead").inc()
        try:
            hints = dispatches.fail(self._journal, claimed, text, retry_in_seconds=retry_in)
        except StewardError as failure:  # the lease will end, and the sweep will see to it
            self._log.warning("failure_not_recorded", error=str(failure))
        else:
            self._hint(hints)

    @contextmanager
    def _bound(self, claimed: Claimed) -> Iterator[None]:
        work, event = claimed.work, claimed.event
        try:
            if claimed.attempt == 1 and work.created_at:
                waited = (claimed.claimed_at - work.created_at).total_seconds()
                STARTED_AFTER.observe(max(0.0, waited))
            with structlog.contextvars.bound_contextvars(
                event_id=event.id,
                event_type=event.type,
                model=event.model.name if event.model else None,
                version=event.version,
                handler=work.handler,
                dispatch_id=work.dispatch_id,
                attempt=claimed.attempt,
            ):
                yield
        finally:
            with self._lock:
                self._held.pop((work.dispatch_id, claimed.token), None)

    def _keep_leases(self) -> None:
        while not self._stopping.wait(self._lease_seconds / 4):
            with self._lock:
                # What hangs loses its lease, so that its lane is free again.
                held = [each.claimed for each in self._held.values() if not each.hangs]
            for claimed in held:
                try:
                    claims.heartbeat(self._journal, claimed, lease_seconds=self._lease_seconds)
                except Exception as error:  # noqa: BLE001  # the other leases must go on
                    if self._holds(claimed):  # else it was recorded meanwhile
                        self._log.warning(
                            "heartbeat_failed",
                            dispatch_id=claimed.work.dispatch_id,
                            error=str(error),
                        )

    def _holds(self, claimed: Claimed) -> bool:
        with self._lock:
            return (claimed.work.dispatch_id, claimed.token) in self._held
