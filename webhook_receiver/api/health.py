"""GET /api/v1/health: every dependency by name, judged from the journal alone."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from prometheus_client import REGISTRY

from steward.errors import JournalUnavailableError
from steward.journal import notices, vitals
from steward.journal.vitals import Vitals
from webhook_receiver.api.access import ThisCaller
from webhook_receiver.api.query import KNOWN_PARAMETERS, example
from webhook_receiver.room import ThisRoom

POLL_IS_LATE = timedelta(minutes=2)
WORK_IS_LATE = timedelta(seconds=60)
_WORST = ("ok", "unknown", "degraded", "failing")
router = APIRouter(prefix="/api/v1", tags=["status"])


@dataclass(frozen=True, slots=True)
class Finding:
    """How one dependency is: ok, unknown, degraded or failing, and a sentence."""

    status: str
    detail: str

    def to_json(self) -> dict[str, str]:
        return {"status": self.status, "detail": self.detail}


@router.get(
    "/health",
    dependencies=[KNOWN_PARAMETERS],
    summary="Every dependency by name",
    responses=example(
        {
            "status": "ok",
            "problems": [],
            "dependencies": {"journal": {"status": "ok", "detail": "It takes writes."}},
            "oldest_unfinished_seconds": None,
            "dead": 0,
        }
    ),
)
def show_health(room: ThisRoom, _caller: ThisCaller) -> dict[str, Any]:
    """Always answered with 200: `/readyz` is for load balancers.

    `status` is ok, degraded (events are taken, but something is late or away) or failing (the
    journal takes no write).
    """
    findings: dict[str, Finding] = {"journal": _journal(is_writable=room.journal.is_writable())}
    found: Vitals | None = None
    try:
        found = vitals.read(room.journal)
    except JournalUnavailableError as error:
        findings["journal"] = Finding("failing", str(error))
    findings["broker"] = _broker()
    if found:
        findings |= {
            "registry": _registry(found),
            "poller": _holder(found, "poll", "No poller runs: missed webhooks stay missed."),
            "sweep": _holder(found, "sweep", "No sweep runs: retries and waits stand still."),
            "workers": _workers(found),
            "policy": _policy(found),
        }
    worst = max((finding.status for finding in findings.values()), key=_WORST.index)
    return {
        "status": "ok" if worst == "unknown" else worst,
        "problems": [
            f"{name}: {finding.detail}"
            for name, finding in findings.items()
            if finding.status in ("degraded", "failing")
        ],
        "dependencies": {name: finding.to_json() for name, finding in findings.items()},
        "oldest_unfinished_seconds": _seconds(found, "oldest_unfinished_at"),
        "oldest_due_seconds": _seconds(found, "oldest_due_at"),
        "pending": found.count("pending") if found else None,
        "running": found.count("running") if found else None,
        "dead": found.count("dead") if found else None,
    }


def _journal(*, is_writable: bool) -> Finding:
    if is_writable:
        return Finding("ok", "It takes writes.")
    return Finding("failing", "It takes no write: deliveries are answered with 503.")


def _broker() -> Finding:
    """What the last hint showed; the receiver asks the broker nothing else."""
    hints = {
        result: REGISTRY.get_sample_value("steward_hints_total", {"result": result}) or 0
        for result in ("sent", "failed")
    }
    if not any(hints.values()):
        return Finding("unknown", "This process sent no hint yet.")
    if REGISTRY.get_sample_value("steward_broker_up"):
        return Finding("ok", "The last hint reached it.")
    return Finding("degraded", "The last hint did not reach it; the sweep repeats what was lost.")


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
    if found.oldest_due_at and found.now - found.oldest_due_at > WORK_IS_LATE:
        late = (found.now - found.oldest_due_at).total_seconds()
        return Finding("degraded", f"Something due has waited {late:.0f} s for a worker.")
    if found.last_attempt_at is None:
        return Finding("unknown", "No attempt is recorded yet.")
    ago = (found.now - found.last_attempt_at).total_seconds()
    return Finding("ok", f"Nothing due waits; the last attempt ended {ago:.0f} s ago.")


def _policy(found: Vitals) -> Finding:
    refused = found.notices.get(notices.POLICY)
    if refused is None:
        return Finding("ok", "No policy file was refused.")
    return Finding("degraded", f"A changed file was refused; the last good one holds. {refused}")


def _seconds(found: Vitals | None, name: str) -> float | None:
    since = getattr(found, name) if found else None
    return (found.now - since).total_seconds() if found and since else None
