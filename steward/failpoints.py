"""Named places where a test may stop or delay a process, or kill it. Off unless a test asks.

``STEWARD_FAILPOINTS="intake.after_commit=kill, registry.after_write=kill@2"`` arms two, where
``STEWARD_ALLOW_FAILPOINTS=true`` says that this is a test; else the role does not start. An action
is ``kill`` (SIGKILL to this process), ``stop`` (SIGSTOP) or ``sleep:SECONDS``; ``@N`` means at the
N-th time only (1 unless said), ``@*`` each time.
A process that nobody armed pays for one look into an empty dictionary.
"""

import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from steward.errors import ConfigurationError

POINTS: Mapping[str, str] = {
    "intake.before_commit": "receiver: deliveries are written, not committed",
    "intake.after_commit": "receiver: deliveries are durable, nobody was answered",
    "hint.before_publish": "every role: hints are gathered, none is sent",
    "hint.after_publish": "every role: hints are sent",
    "claim.after_commit": "worker: a dispatch is claimed, its handler was not called",
    "handler.after_call": "worker: the handler returned, nothing is recorded",
    "record.before_commit": "worker: the outcome is written, not committed",
    "record.after_commit": "worker: the outcome is durable, what follows was not hinted",
    "intent.after_commit": "worker: a registry write is announced, not made",
    "registry.before_write": "worker: MLflow is about to be written, if the lease is still held",
    "registry.before_send": "worker: the lease is held, MLflow was not asked yet",
    "registry.after_write": "worker: MLflow was written, nobody knows",
    "effect.after_begin": "worker: a message is announced, not sent",
    "channel.after_send": "worker: a message was sent, nobody knows",
    "replica.after_call": "worker: a replica was told, nobody knows",
    "poll.before_commit": "poller: what a look found is written, not committed",
    "poll.after_commit": "poller: what a look found is durable, not hinted",
    "poll.before_position": "poller: everything is recorded, how far the poll came is not",
    "sweep.after_expire": "poller: ended leases were taken back, not hinted",
    "sweep.before_hint": "poller: due dispatches are marked as hinted, and are not",
    "checkpoint.before": "poller: SQLite's log is about to be moved into the database",
}
"""Every point there is, and what has happened when it is reached."""

VARIABLE = "STEWARD_FAILPOINTS"


@dataclass(slots=True)
class _Armed:
    action: str
    at: int | None
    seconds: float = 0.0
    reached: int = 0


def failpoint(name: str) -> None:
    """Do what was asked for this place; nothing unless the process was armed."""
    if _ARMED and (armed_here := _ARMED.get(name)) is not None:
        _reach(armed_here)


def armed() -> tuple[str, ...]:
    """What this process was told to fail at."""
    return tuple(sorted(_ARMED))


def arm(text: str) -> None:
    """Arm this process, as a role does when it starts. Raises as :func:`parse`."""
    _ARMED.update(parse(text))


def parse(text: str) -> dict[str, _Armed]:
    """Read ``name=action[:seconds][@count], ...``.

    Raises:
        ConfigurationError: no such point, or no such action.

    """
    found = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, what = part.partition("=")
        action, _, count = what.partition("@")
        action, _, seconds = action.partition(":")
        try:
            at = None if count == "*" else int(count or 1)
            found[name] = _Armed(action, at, float(seconds or 0))
        except ValueError as error:
            raise ConfigurationError(f"{VARIABLE}: {part} has a wrong number.") from error
        if name not in POINTS:
            known = ", ".join(POINTS)
            raise ConfigurationError(f"{VARIABLE}: there is no point {name}; there are {known}.")
        if action not in ("kill", "stop", "sleep"):
            raise ConfigurationError(f"{VARIABLE}: {what} is none of kill, stop, sleep:SECONDS.")
    return found


def _reach(armed: _Armed) -> None:
    with _LOCK:
        armed.reached += 1
        if armed.at is not None and armed.reached != armed.at:
            return
    if armed.action == "sleep":
        time.sleep(armed.seconds)
    else:
        os.kill(os.getpid(), signal.SIGKILL if armed.action == "kill" else signal.SIGSTOP)


_LOCK = threading.Lock()
_ARMED: dict[str, _Armed] = {}
