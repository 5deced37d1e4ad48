"""How each dependency is, in a word and a sentence: read from the journal, nobody else is asked."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import REGISTRY

from handlers import QUEUES
from steward.journal import notices
from steward.journal.processes import CLOCK_TOLERANCE_SECONDS, Process
from steward.journal.vitals import Vitals

POLL_IS_LATE = timedelta(minutes=2)
WORK_IS_LATE = timedelta(seconds=60)
CANARY_IS_LATE = timedelta(seconds=60)
"""Four canaries in the defaults; a worker ends itself after six."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one dependency is: ok, unknown, degraded or failing, and a sentence."""

    status: str
    detail: str

    def to_json(self) -> dict[str, str]:
        return {"status": self.status, "detail": self.detail}


def of_journal(*, is_writable: bool) -> Finding:
    """Whether it takes a write now."""
    if is_writable:
        return Finding("ok", "It takes writes.")
    return Finding("failing", "It takes no write: deliveries are answered with 503.")


def of_installation(found: Vitals) -> dict[str, Finding]:
    """Everything else, by name."""
    return {
        "broker": _broker(found),
        "registry": _registry(found),
        "poller": _holder(found, "poll", "No poller runs: missed webhooks stay missed."),
        "sweep": _holder(found, "sweep", "No sweep runs: retries and waits stand still."),
        "workers": _workers(found),
        "clocks": _clocks(found),
        "policy": _policy(found),
    }


# -- one by one ---------------------------------------------------------------------------------


def _broker(found: Vitals) -> Finding:
    """What the workers' canaries and our last hint showed."""
    workers = found.living("worker")
    away = [each for each in workers if _is_late(each, each.published_at)]
    if away:
        return Finding("degraded", f"{_names(away)} cannot reach it; the sweep repeats what waits.")
    hints = {
        result: REGISTRY.get_sample_value("steward_hints_total", {"result": result}) or 0
        for result in ("sent", "failed")
    }
    if any(hints.values()) and not REGISTRY.get_sample_value("steward_broker_up"):
        return Finding("degraded", "The last hint did not reach it; the sweep repeats it.")
    if any(hints.values()):
        return Finding("ok", "The last hint reached it.")
    if any(each.published_at for each in workers):
        return Finding("ok", "The workers reach it.")
    return Finding("unknown", "Nobody has sent anything through it yet.")


def _registry(found: Vitals) -> Finding:
    if not found.polls:
        return Finding("unknown", "No poll of it is recorded yet.")
    for poll in found.polls:
        if poll.last_error:
            return Finding("degraded", f"{poll.registry}: {poll.last_error}")
        if poll.completed_at is None or found.now - poll.completed_at > POLL_IS_LATE:
            return Finding("degraded", f"{poll.registry}: no poll was completed lately.")
    return Finding("ok", "The last poll was completed.")


def _holder(found: Vitals, prefix: str, missing: str) -> Finding:
    holders = [holder for name, holder in found.leases.items() if name.startswith(prefix)]
    if holders:
        return Finding("ok", f"Runs as {', '.join(sorted(holders))}.")
    return Finding("degraded", missing)


def _workers(found: Vitals) -> Finding:
    queues = sorted({"default", *QUEUES.values()})
    counts = {queue: len(found.living("worker", queue)) for queue in queues}
    missing = [queue for queue, count in counts.items() if not count]
    if missing:
        said = " and ".join(f"No worker consumes the queue {queue}" for queue in missing)
        return Finding("degraded", f"{said}. Start: steward worker --queue {missing[0]}")
    stuck = [
        each
        for each in found.living("worker")
        if _is_late(each, each.canary_at) and not _is_late(each, each.published_at)
    ]
    if stuck:
        return Finding("degraded", f"{_names(stuck)} does not consume; it will end itself soon.")
    if found.oldest_due_at and found.now - found.oldest_due_at > WORK_IS_LATE:
        late = (found.now - found.oldest_due_at).total_seconds()
        return Finding("degraded", f"Something due has waited {late:.0f} s for a worker.")
    running = ", ".join(f"{count} on the queue {queue}" for queue, count in counts.items())
    if found.last_attempt_at is None:
        return Finding("ok", f"{running}; no attempt is recorded yet.")
    ago = (found.now - found.last_attempt_at).total_seconds()
    return Finding("ok", f"{running}; the last attempt ended {ago:.0f} s ago.")


def _clocks(found: Vitals) -> Finding:
    wrong = [
        each
        for each in found.living_processes
        if abs(each.clock_skew_seconds or 0.0) > CLOCK_TOLERANCE_SECONDS
    ]
    if not wrong:
        return Finding("ok", "Every process agrees with the database about the time.")
    each = wrong[0]
    skew = each.clock_skew_seconds or 0.0
    way = "ahead of" if skew > 0 else "behind"
    more = f" {len(wrong) - 1} more are wrong too." if len(wrong) > 1 else ""
    return Finding(
        "degraded", f"The clock of {each.name} is {abs(skew):.0f} s {way} the database's.{more}"
    )


def _policy(found: Vitals) -> Finding:
    refused = found.notices.get(notices.POLICY)
    if refused is None:
        return Finding("ok", "No policy file was refused.")
    return Finding("degraded", f"A changed file was refused; the last good one holds. {refused}")


def _is_late(process: Process, since: datetime | None) -> bool:
    """Judged at its last sign: what came after that nobody knows yet."""
    return process.seen_at - (since or process.started_at) > CANARY_IS_LATE


def _names(processes: Iterable[Process]) -> str:
    return ", ".join(each.name for each in processes)
