"""A storm: random faults, many at once, while versions arrive; then the count of what went wrong.

``python -m tests.acceptance.faults.storm --seconds 1800`` (or ``make storm SECONDS=1800``). The
seed is printed; the same seed draws the same faults, though not to the same microsecond.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.acceptance.faults.harm import FAULTS, Harm
from tests.acceptance.faults.invariants import assert_sound, await_drained
from tests.acceptance.faults.people import (
    BY_HAND,
    DRAIN_SECONDS,
    OPERATED,
    ROLLED,
    Operators,
    Scientists,
    assert_heard,
    assert_numbered_and_challenged,
    await_known,
    await_polled,
)
from tests.acceptance.faults.site import ROLES, Site
from tests.postgres import PostgresServer
from tests.servers import MlflowServer

PLAIN = tuple(f"storm-{number}" for number in range(4))
MODELS = (*PLAIN, *OPERATED)
SERVED = (PLAIN[0], ROLLED)
EVERYTHING = Path(__file__).with_name("everything.yaml")
DECIDED = ("model_version.promoted", "promotion.held", "model_version.rejected")


@dataclass
class Summary:
    """What a storm came to. ``lost`` and ``doubled`` must be empty."""

    seed: int
    seconds: float
    versions: int = 0
    events: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    replayed: int = 0
    worst_recovery_seconds: float = 0.0
    drained_in_seconds: float = 0.0
    stories: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.faults.items()))
        return (
            f"Storm of {self.seconds:.0f} s, seed {self.seed}\n"
            f"  versions registered  {self.versions}\n"
            f"  events journalled    {self.events}\n"
            f"  faults               {self.faults.total()} ({kinds})\n"
            f"  lost                 {len(self.lost)} {' '.join(self.lost)}\n"
            f"  doubled              {len(self.doubled)} {' '.join(self.doubled)}\n"
            f"  dead, then replayed  {self.replayed}\n"
            f"  worst recovery       {self.worst_recovery_seconds:.1f} s from registration to "
            f"verdict\n"
            f"  drained in           {self.drained_in_seconds:.1f} s after the last fault"
        ) + "".join(f"\n\n{story}" for story in self.stories)


def rage(site: Site, *, seconds: float, seed: int) -> Summary:
    """Let the storm rage over a running site; afterwards everything must come to its end."""
    summary = Summary(seed, seconds)
    scientists, operators = Scientists(site, seed, MODELS), Operators(site, seed)
    with ExitStack() as stack:
        fleet = [each for model in SERVED for each in stack.enter_context(site.replicas(model, 2))]
        draw = random.Random(seed)  # noqa: S311  # no secret
        harm = Harm(site, draw, fleet)
        scientists.start()
        operators.start()
        _inflict(harm, summary, seconds)
        for people in (scientists, operators):
            people.done.set()
            people.join(DRAIN_SECONDS)
            assert not people.is_alive(), f"{type(people).__name__} come to no end"
        site.heal()
        stack.enter_context(site.supervised())
        operators.end_pause()
        operators.leave_one()
        began = time.monotonic()
        best = [site.register(model, auc=5.0) for model in MODELS]  # news for every model
        scientists.registered += zip(MODELS, best, strict=True)
        await_known(site, scientists.registered)
        summary.replayed = _settle(site)
        summary.drained_in_seconds = time.monotonic() - began
        await_polled(site)  # what nobody delivered may be work still
        _count(site, scientists.registered, summary)
        assert_sound(site, *MODELS, fleet=fleet, within=DRAIN_SECONDS, moved_by_hand={BY_HAND})
        assert_heard(site, PLAIN, scientists.registered)
        if "STEWARD_POLICY_FILE" in site.settings:
            assert_numbered_and_challenged(site, MODELS)
    return summary


def _inflict(harm: Harm, summary: Summary, seconds: float) -> None:
    """Draw a fault every second or so; each ends by itself after a while."""
    ends_at = time.monotonic() + seconds
    next_at = time.monotonic()
    while (now := time.monotonic()) < ends_at:
        harm.end_due()
        harm.site.restart_ended(is_left=harm.suffers)
        if now >= next_at:
            kind = harm.random.choice(sorted(FAULTS))
            if harm.inflict(kind):
                summary.faults[kind] += 1
            next_at = now + harm.random.uniform(0.3, 2.5)
        time.sleep(0.1)
    harm.end_all()


def _settle(site: Site) -> int:
    """Wait until nothing is open; what died of too many deaths is replayed, as an operator would.

    Returns how many events were replayed.
    """
    replayed = 0
    for _ in range(5):
        await_drained(site, *MODELS, within=DRAIN_SECONDS)
        dead = [each["id"] for model in MODELS for each in site.events(model=model, status="dead")]
        if not dead:
            break
        replayed += len(dead)
        for event_id in dead:
            answer = site.post(
                f"/events/{event_id}/replay", {"mode": "failed", "reason": "after the storm"}
            )
            assert answer.is_success, answer.text
    return replayed


def _count(site: Site, registered: list[tuple[str, str]], summary: Summary) -> None:
    """Hold every version against what the journal has of it."""
    found = [event for model in MODELS for event in site.events(model=model)]
    created, decided = Counter[Any](), {}
    began = {}
    for event in found:
        key = (event["model"], event["version"])
        if event["type"] == "model_version.created":
            created[key] += 1
            began[key] = datetime.fromisoformat(event["time"])
        elif event["type"] in DECIDED:
            decided.setdefault(key, datetime.fromisoformat(event["recordedat"]))
    summary.versions, summary.events = len(registered), len(found)
    lost = [(m, v) for m, v in registered if (m, v) not in decided and not _is_settled(site, m, v)]
    summary.lost = [f"{model} v{version}" for model, version in lost]
    summary.doubled = [f"{m} v{v}" for (m, v), count in created.items() if count > 1]
    summary.stories = [_story(site, model, version) for model, version in lost]
    waited = [(decided[key] - began[key]).total_seconds() for key in decided if key in began]
    summary.worst_recovery_seconds = max(waited, default=0.0)


def _is_settled(site: Site, model: str, version: str) -> bool:
    """Whether a person made it Production, before Steward came to decide.

    What another replaced by hand before anybody read it has no verdict at all.
    """
    if model != BY_HAND:
        return False
    has_verdict = site.verdict(model, version) not in ("", "waiting")
    return has_verdict or "is Production already" in _story(site, model, version)


def _story(site: Site, model: str, version: str) -> str:
    """What the journal has of a version that got no verdict."""
    lines = [f"What the journal has of {model} v{version}:"]
    for event in site.events(model=model, version=version):
        lines.append(
            f"  {event['recordedat']} {event['type']} {event['id']} source={event['source']}"
        )
        whole = site.get(f"/events/{event['id']}")
        lines += [
            f"    {each['handler']} {each['state']}: {each['note']}"
            for each in whole.get("dispatches", ())
        ]
    return "\n".join(lines)


@contextmanager
def site_for_storm(
    directory: Path, *, on_postgresql: bool, everything: bool = False
) -> Iterator[Site]:
    """A site with two workers and two pollers, on a journal of its own.

    ``everything``: under a policy with all that it may write, instead of the built-in one.
    """
    settings = {}
    if everything:
        settings["STEWARD_POLICY_FILE"] = str(EVERYTHING)
        settings["STEWARD_BUILT_IN_POLICY"] = "false"
    with ExitStack() as stack:
        database: PostgresServer | None = None
        if on_postgresql:
            database = PostgresServer().start()
            stack.callback(database.remove)
        (directory / "mlflow").mkdir(parents=True)
        mlflow = MlflowServer(directory / "mlflow").start()
        stack.callback(mlflow.stop)
        second = {"worker-default-2": ROLES["worker-default"], "poller-2": ROLES["poller"]}
        site = Site(
            directory / "site",
            mlflow,
            database.database("storm") if database else None,
            settings,
            roles={**ROLES, **second},
        )
        site.database = database
        yield stack.enter_context(site.running())


def main() -> int:
    """Run one storm and print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--journal", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--policy", choices=["built-in", "everything"], default="built-in")
    asked = parser.parse_args()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "true"
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}, {asked.seconds:.0f} s, journal on {asked.journal}", flush=True)  # noqa: T201
    with (
        tempfile.TemporaryDirectory(prefix="storm-") as directory,
        site_for_storm(
            Path(directory),
            on_postgresql=asked.journal == "postgresql",
            everything=asked.policy == "everything",
        ) as site,
    ):
        summary = rage(site, seconds=asked.seconds, seed=seed)
    print(summary)  # noqa: T201  # it is a command
    return 1 if summary.lost or summary.doubled else 0


if __name__ == "__main__":
    sys.exit(main())
