"""The sweep: every second it hints what is due. The clock of all retries and waits.

It runs beside the poller, under its own lease, and is the guarantee behind lost hints.
"""

import threading
import time
from collections.abc import Callable, Sequence

from prometheus_client import Counter, Gauge

from steward.errors import StewardError
from steward.failpoints import failpoint
from steward.journal import leases, sweeping
from steward.journal.retention import Keep, age_out
from steward.journal.store import Journal
from steward.logs import get_logger
from steward.ports import Hint

DEATHS_ALLOWED = 3
"""Leases that may end without an answer before a dispatch is dead: it kills its workers."""
LEASE_SECONDS = 10.0
CHECKPOINT_EVERY_SECONDS = 10.0
AGE_OUT_EVERY_SECONDS = 60.0
REHINTED = Counter("steward_sweep_hints_total", "Hints sent by the sweep")
EXPIRED = Counter("steward_leases_expired_total", "Leases of dispatches that ended unanswered")
AGED = Counter("steward_aged_rows_total", "Rows cleared because they were old", ["kind"])
IS_LEADER = Gauge("steward_sweep_leader", "1 if this process is the one that sweeps")


class Sweep:
    """Sweeps while it holds the lease; any number of processes may try."""

    def __init__(
        self,
        journal: Journal,
        *,
        holder: str,
        hint: Callable[[Sequence[Hint]], None],
        interval_seconds: float,
        keep: Keep | None = None,
    ) -> None:
        self._journal = journal
        self._holder = holder
        self._hint = hint
        self._interval_seconds = interval_seconds
        self._keep = keep or Keep()
        self._age_out_at = 0.0
        self._checkpointed_at = 0.0
        self._renew_at = 0.0
        self._log = get_logger()

    def run(self, stop: threading.Event) -> None:
        """Sweep until told to stop, then give the lease back."""
        is_well = True
        while not stop.wait(self._interval_seconds):
            try:
                self.sweep_once()
            except Exception as error:  # noqa: BLE001  # retries and waits must not stand still
                if is_well:
                    is_expected = isinstance(error, StewardError)
                    self._log.warning(
                        "sweep_failed", error=str(error), exc_info=None if is_expected else error
                    )
                is_well = False
            else:
                is_well = True
        try:
            leases.give_back(self._journal, "sweep", self._holder)
        except StewardError as error:
            self._log.warning("lease_not_given_back", error=str(error))

    def sweep_once(self) -> int:
        """One round; returns how many hints it sent, 0 too when another process sweeps."""
        if not self._is_leader():
            return 0
        expired, hints = sweeping.expire(self._journal, deaths_allowed=DEATHS_ALLOWED)
        if expired:
            EXPIRED.inc(expired)
            self._log.warning("leases_expired", dispatches=expired)
            failpoint("sweep.after_expire")
        hints += sweeping.due(self._journal)
        if hints:
            failpoint("sweep.before_hint")
        self._hint(hints)
        REHINTED.inc(len(hints))
        if time.monotonic() - self._checkpointed_at > CHECKPOINT_EVERY_SECONDS:
            failpoint("checkpoint.before")
            self._checkpointed_at = time.monotonic()  # one that fails is tried again in its time
            self._journal.checkpoint()
        self._age_out()
        return len(hints)

    def _age_out(self) -> None:
        """A step now and then; the next one at once while old rows are left."""
        if time.monotonic() < self._age_out_at:
            return
        aged = age_out(self._journal, self._keep)
        AGED.labels("bodies").inc(aged.bodies)
        AGED.labels("attempts").inc(aged.attempts)
        if aged.is_done:
            self._age_out_at = time.monotonic() + AGE_OUT_EVERY_SECONDS

    def _is_leader(self) -> bool:
        """Renewed at half its time only, so that an idle second writes nothing."""
        if time.monotonic() < self._renew_at:
            return True
        is_leader = leases.acquire(self._journal, "sweep", self._holder, seconds=LEASE_SECONDS)
        IS_LEADER.set(is_leader)
        self._renew_at = time.monotonic() + LEASE_SECONDS / 2 if is_leader else 0.0
        return is_leader
