"""The acts of `steward demo`: versions are registered, and each outcome is compared.

Clients ask for predictions all the while.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from steward.cli.demo_captures import Captures
from steward.cli.demo_clients import SHOWN_FAILURES, Clients
from steward.cli.demo_reading import Reading, against, numbers
from steward.cli.demo_screen import Row, Screen
from steward.cli.demo_training import (
    BEST,
    BETTER,
    FIRST,
    SLIGHTLY_BETTER,
    TOO_WEAK,
    Laboratory,
    Models,
    Recipe,
    Trained,
)
from steward.errors import StewardError

MODEL = "breast-cancer"
MET_ANSWERS = 30
PATIENCE_SECONDS = 90.0
CACHE_SECONDS = 1.5
"""Longer than the demo's MLflow remembers its webhooks (MLFLOW_WEBHOOK_CACHE_TTL=1)."""

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Act:
    """One version, and what is to become of it."""

    recipe: Recipe
    verdict: str
    has_webhook: bool = True


ACTS = (
    Act(FIRST, "promoted"),
    Act(SLIGHTLY_BETTER, "held"),
    Act(TOO_WEAK, "rejected"),
    Act(BETTER, "promoted"),
    Act(BEST, "promoted", has_webhook=False),
)


class StoppedError(StewardError):
    """Somebody pressed Ctrl-C."""


class Show:
    """One performance. ``unexpected`` says what went otherwise than it should."""

    def __init__(
        self, reading: Reading, screen: Screen, captures: Captures, stop: threading.Event
    ) -> None:
        self.unexpected: list[str] = []
        self._reading = reading
        self._screen = screen
        self._captures = captures
        self._stop = stop
        self._production: str | None = None

    def perform(self, laboratory: Laboratory, models: Models, clients: Clients) -> None:
        """All acts, with clients asking all the while; then the sums."""
        self._screen.header()
        try:
            for act in ACTS:
                self._register(act, laboratory, models.by_recipe[act.recipe])
                if act is ACTS[0]:
                    clients.start()
            self._until(
                f"clients to have met version {self._production}",
                lambda: clients.answers[str(self._production)] >= MET_ANSWERS,
            )
        finally:
            clients.stop()
        self._screen.say()
        self._screen.say(f"Clients   {clients.told()}")
        for failure in clients.failures[:SHOWN_FAILURES]:
            self._screen.say(f"          {failure}")
        self._expect(not clients.failures, f"{len(clients.failures)} requests of clients failed")
        self._await_notifications()

    # -- one version ----------------------------------------------------------------------------

    def _register(self, act: Act, laboratory: Laboratory, trained: Trained) -> None:
        with self._screen.phase(f"Logging to MLflow: {act.recipe.told}"):
            logged = laboratory.log(trained)
        if act.has_webhook:
            self._judge(act, trained, lambda: laboratory.register(logged))
            return
        with laboratory.webhook_off():
            with self._screen.phase("MLflow's webhook is off: the next one is for the poll"):
                self._pause(CACHE_SECONDS)
            self._judge(act, trained, lambda: laboratory.register(logged))

    def _judge(self, act: Act, trained: Trained, register: Callable[[], str]) -> None:
        at, started = datetime.now(UTC), time.monotonic()
        version = register()
        verdict = self._until(
            f"a verdict on version {version}", lambda: self._reading.verdict(version)
        )
        if verdict == "promoted":
            self._production = version
            self._until(
                f"every replica to serve version {version}",
                lambda: set(self._reading.serving()) == {version},
            )
        seconds = time.monotonic() - started
        decision = self._reading.decision(version, verdict)
        row = Row(
            at=at,
            version=version,
            metric=f"{trained.auc:.4f}",
            against=against(decision),
            verdict=verdict,
            told=numbers(decision),
            serving=self._reading.serving(),
            seen_by=self._reading.seen_by(version),
            seconds=seconds,
        )
        self._screen.row(row)
        self._compare(act, row)

    def _compare(self, act: Act, row: Row) -> None:
        subject = f"version {row.version} ({act.recipe.told})"
        self._expect(
            row.verdict == act.verdict, f"{subject} was {row.verdict} instead of {act.verdict}"
        )
        ways = ("webhook", "both") if act.has_webhook else ("poll",)
        self._expect(
            row.seen_by in ways, f"{subject} was seen by {row.seen_by} instead of {ways[0]}"
        )
        self._expect(
            set(row.serving) == {self._production},
            f"after {subject} the replicas serve {', '.join(row.serving)} "
            f"instead of {self._production}",
        )

    # -- people ---------------------------------------------------------------------------------

    def _await_notifications(self) -> None:
        """Each version is told about once a channel; the last ones are under way still."""
        slack, mails = self._captures.slack, self._captures.mails
        self._until("the last notifications", lambda: min(len(slack), len(mails)) >= len(ACTS))
        self._screen.say(f"Told      {len(slack)} Slack messages, {len(mails)} emails")
        self.unexpected += [f"a handler gave up on {event}" for event in self._reading.dead()]

    # -- waiting --------------------------------------------------------------------------------

    def _until(self, what: str, ask: Callable[[], Found | None]) -> Found:
        self._pause(0)
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._screen.phase(f"Waiting for {what}"):
            while not (found := ask()):
                if time.monotonic() > deadline:
                    raise StewardError(f"waited {PATIENCE_SECONDS:g} s in vain for {what}")
                self._pause(0.05)
        return found

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise StoppedError

    def _expect(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            self.unexpected.append(otherwise)
