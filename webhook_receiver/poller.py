"""The polling shim: finds the registry changes that webhooks lost or never send.

The poller's process runs it (`steward poller`); however many run, one polls a registry at a time,
by a lease. What a poll does is in `polling/once.py`; here is when, and what is said of it.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

from steward.errors import LeaseLostError, StewardError
from steward.journal import leases, polls
from steward.journal.store import Journal
from steward.logs import get_logger
from steward.ports import Hint, Registry
from steward.settings import Settings
from webhook_receiver.polling.means import ChampionOf, Means
from webhook_receiver.polling.once import poll
from webhook_receiver.polling.sweep import Slices

LEASE_SECONDS = 30.0
SWEEP_SECONDS = 300.0
"""How long a round of the sweep takes, unless the registry is so large that it must take longer."""
OVERLAP_SECONDS = 30.0
"""How late a registry's transaction may commit after the time that it wrote down."""

POLLS = Counter("steward_polls_total", "Polls of the registry", ["registry", "result"])
POLL_SECONDS = Histogram("steward_poll_seconds", "How long a complete poll took", ["registry"])
LAG_SECONDS = Gauge(
    "steward_registry_lag_seconds",
    "Seconds since the registry was last polled well; NaN where another process polls it",
    ["registry"],
)


class _Stopped(Exception):  # noqa: N818  # not an error: we were told to
    """The process ends: the rest of this poll is left to the next one."""


@dataclass(frozen=True, slots=True)
class PollResult:
    """What became of one poll.

    ``standby``: another process polls this registry. ``visited`` counts the models that were read
    whole; ``problem`` says what failed, or what a complete poll had to leave out.
    """

    outcome: Literal["completed", "failed", "standby", "stopped"]
    visited: int = 0
    is_baseline: bool = False
    problem: str | None = None


class Poller:
    """Polls one registry while it holds the lease; any number of processes may try.

    ``champion_of`` says who is Production by the policy in force, so that the first reading of a
    model can note it as history.
    """

    def __init__(
        self,
        journal: Journal,
        registry: Registry,
        *,
        hint: Callable[[Sequence[Hint]], None],
        holder: str,
        settings: Settings,
        champion_of: ChampionOf | None = None,
        smallest_slice: int = 20,
    ) -> None:
        self._means = Means(journal, registry, hint, champion_of, self._go_on)
        self._holder = holder
        self._interval_seconds = settings.poll_interval_seconds
        self._overlap = timedelta(seconds=2 * self._interval_seconds + OVERLAP_SECONDS)
        self._too_long = timedelta(seconds=settings.catch_up_limit_seconds)
        self._slices = Slices(share=self._interval_seconds / SWEEP_SECONDS, smallest=smallest_slice)
        self._lease = f"poller/{registry.name}"
        self._has_lease = False
        self._renew_at = 0.0
        self._stop = threading.Event()
        self._is_away = False
        self._problem: str | None = None
        self._log = get_logger().bind(registry=registry.name)
        self._well_at = time.monotonic()
        LAG_SECONDS.labels(registry.name).set_function(self._lag_seconds)

    def run(self, stop: threading.Event) -> None:
        """Poll until told to stop, then give the lease back."""
        self._stop = stop
        while not stop.is_set():
            try:
                self.poll_once()
            except Exception:  # noqa: BLE001  # a defect must not end polling for good, unseen
                self._log.exception("poll_crashed")
                POLLS.labels(self._means.registry.name, "crashed").inc()
            stop.wait(self._interval_seconds * random.uniform(0.9, 1.1))  # noqa: S311  # jitter
        self._give_lease_back()

    def poll_once(self) -> PollResult:
        """One poll, if the lease is ours. A registry or journal that is away is a result."""
        name, began = self._means.registry.name, time.monotonic()
        try:
            result = self._poll() if self._take_lease() else PollResult("standby")
        except _Stopped:
            result = PollResult("stopped")
        except LeaseLostError:
            result = PollResult("standby")
        except StewardError as error:
            result = PollResult("failed", problem=str(error))
        POLLS.labels(name, result.outcome).inc()
        if result.outcome == "completed":
            self._well_at = time.monotonic()
            POLL_SECONDS.labels(name).observe(self._well_at - began)
        self._tell(result)
        return result

    # -- inside ----------------------------------------------------------------------------------

    def _poll(self) -> PollResult:
        done = poll(self._means, self._slices, overlap=self._overlap, too_long=self._too_long)
        return PollResult("completed", done.visited, done.is_baseline, done.problem)

    def _go_on(self) -> None:
        """Called before each request: a poll of a large registry may outlast a lease."""
        if self._stop.is_set():
            raise _Stopped
        if not self._take_lease():
            raise LeaseLostError(f"{self._holder} no longer polls: its lease was taken.")

    def _take_lease(self) -> bool:
        """Renewed at half its time only, so that an idle poll writes little."""
        if self._has_lease and time.monotonic() < self._renew_at:
            return True
        renew_at = time.monotonic() + LEASE_SECONDS / 2
        self._has_lease = leases.acquire(
            self._means.journal, self._lease, self._holder, seconds=LEASE_SECONDS
        )
        self._renew_at = renew_at
        return self._has_lease

    def _give_lease_back(self) -> None:
        try:
            leases.give_back(self._means.journal, self._lease, self._holder)
        except StewardError as error:
            self._log.warning("lease_not_given_back", error=str(error))

    def _tell(self, result: PollResult) -> None:
        """Say once that a registry is away, and once that it is back; health shows the error."""
        if result.outcome == "failed":
            if not self._is_away:
                self._log.warning("registry_away", error=result.problem)
            if result.problem != self._problem:
                self._keep_problem(str(result.problem))
            self._is_away = True
        elif result.outcome == "completed":
            if self._is_away:
                self._log.info("registry_back")
            if result.problem and result.problem != self._problem:
                self._log.warning("poll_incomplete", problem=result.problem)
            self._is_away, self._problem = False, result.problem

    def _keep_problem(self, problem: str) -> None:
        try:
            polls.save_failed(self._means.journal, self._means.registry.name, problem)
        except StewardError as error:
            self._log.warning("journal_away", error=str(error))
        else:
            self._problem = problem

    def _lag_seconds(self) -> float:
        return time.monotonic() - self._well_at if self._has_lease else float("nan")
