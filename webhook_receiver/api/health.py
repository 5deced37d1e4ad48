"""GET /api/v1/health: every dependency by name, judged from the journal alone."""

from typing import Any

from fastapi import APIRouter

from steward.errors import JournalUnavailableError
from steward.journal import commands, vitals
from steward.journal.processes import Process
from steward.journal.vitals import Vitals
from webhook_receiver.api import findings
from webhook_receiver.api.access import ThisCaller
from webhook_receiver.api.commands import EXAMPLE_PAUSE
from webhook_receiver.api.findings import Finding
from webhook_receiver.api.query import KNOWN_PARAMETERS, example
from webhook_receiver.room import ThisRoom

_WORST = ("ok", "unknown", "degraded", "failing")
router = APIRouter(prefix="/api/v1", tags=["status"])


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
            "oldest_due_seconds": None,
            "pending": 0,
            "running": 0,
            "dead": 0,
            "redelivered_hints": 3,
            "expired_leases": 0,
            "seen_by_poll_alone": 1,
            "paused": [EXAMPLE_PAUSE],
            "processes": [
                {
                    "name": "worker@host:4711",
                    "role": "worker",
                    "queue": "default",
                    "software": "0.1.0 (journal 0005)",
                    "started_at": "2026-03-01T12:00:00+00:00",
                    "last_sign_seconds": 7.1,
                    "clock_skew_seconds": 0.002,
                    "canary_seconds": 8.4,
                }
            ],
        }
    ),
)
def show_health(room: ThisRoom, _caller: ThisCaller) -> dict[str, Any]:
    """Always answered with 200: `/readyz` is for load balancers.

    `status` is ok, degraded (events are taken, but something is late or away) or failing (the
    journal takes no write). A pause is no problem, and is told in `paused`.
    """
    found: Vitals | None = None
    paused: list[dict[str, Any]] | None = None
    parts = {"journal": findings.of_journal(is_writable=room.journal.is_writable())}
    try:
        found = vitals.read(room.journal)
        paused = commands.paused_scopes(room.journal)
    except JournalUnavailableError as error:
        parts["journal"] = Finding("failing", str(error))
    else:
        parts |= findings.of_installation(found)
    worst = max((part.status for part in parts.values()), key=_WORST.index)
    return {
        "status": "ok" if worst == "unknown" else worst,
        "problems": [
            f"{name}: {part.detail}"
            for name, part in parts.items()
            if part.status in ("degraded", "failing")
        ],
        "dependencies": {name: part.to_json() for name, part in parts.items()},
        "oldest_unfinished_seconds": _seconds(found, "oldest_unfinished_at"),
        "oldest_due_seconds": _seconds(found, "oldest_due_at"),
        "pending": found.count("pending") if found else None,
        "running": found.count("running") if found else None,
        "dead": found.count("dead") if found else None,
        "redelivered_hints": found.counters["redelivered_hints"] if found else None,
        "expired_leases": found.counters["expired_leases"] if found else None,
        "seen_by_poll_alone": sum(found.seen_by_poll.values()) if found else None,
        "paused": paused,
        "processes": [_process(found, each) for each in found.living_processes] if found else [],
    }


def _process(found: Vitals, process: Process) -> dict[str, Any]:
    canary_at = process.canary_at
    return {
        "name": process.name,
        "role": process.role,
        "queue": process.queue,
        "software": process.software,
        "started_at": process.started_at.isoformat(),
        "last_sign_seconds": (found.now - process.seen_at).total_seconds(),
        "clock_skew_seconds": process.clock_skew_seconds,
        "canary_seconds": (found.now - canary_at).total_seconds() if canary_at else None,
    }


def _seconds(found: Vitals | None, name: str) -> float | None:
    since = getattr(found, name) if found else None
    return (found.now - since).total_seconds() if found and since else None
