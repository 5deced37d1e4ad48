"""Starts child processes, restarts those that die, and leaves none behind. `steward up` uses it."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FIRST_BACK_OFF_SECONDS = 0.5
LONGEST_BACK_OFF_SECONDS = 30.0
WELL_AFTER_SECONDS = 60.0
END_SECONDS = 8.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Program:
    """One child. ``environment`` is laid over ours (None removes); higher stages end first."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str | None]
    stage: int = 1


@dataclass(slots=True)
class _Child:
    program: Program
    process: subprocess.Popen[bytes]
    started_at: float
    back_off_seconds: float = FIRST_BACK_OFF_SECONDS
    restart_at: float | None = None


@dataclass(slots=True)
class Supervisor:
    """Runs programs; ``say`` tells people, ``changed`` is called when a child's pid is new."""

    logs: Path
    say: Callable[[str], None]
    changed: Callable[[], None]
    _children: dict[str, _Child] = field(default_factory=dict)

    def start(self, program: Program) -> None:
        """Start one program."""
        self._children[program.name] = _Child(program, self._spawn(program), time.monotonic())

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each child that runs."""
        return {
            name: child.process.pid
            for name, child in self._children.items()
            if child.restart_at is None
        }

    def look(self) -> None:
        """Notice who died, and start again who is due."""
        now = time.monotonic()
        for child in self._children.values():
            if child.restart_at is None and child.process.poll() is not None:
                self._died(child, now)
            elif child.restart_at is not None and now >= child.restart_at:
                self._start_again(child, now)

    def end(self) -> None:
        """End every child: SIGTERM, a few seconds to finish, then SIGKILL to what is left."""
        deadline = time.monotonic() + END_SECONDS
        stages = sorted({child.program.stage for child in self._children.values()}, reverse=True)
        for stage in stages:
            ending = [c for c in self._children.values() if c.program.stage == stage]
            for child in ending:
                if child.process.poll() is None:
                    child.process.terminate()
            patience = deadline - (stages[-1] != stage)  # the last stage needs its second too
            for child in ending:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(0.1, patience - time.monotonic()))
        for child in self._children.values():
            # Its whole group: a server's own workers too.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()

    def log_of(self, name: str) -> Path:
        """Where a child's output goes."""
        return self.logs / f"{name}.log"

    # -- inside ---------------------------------------------------------------------------------

    def _died(self, child: _Child, now: float) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)  # nothing of it may hold its port
        if now - child.started_at > WELL_AFTER_SECONDS:
            child.back_off_seconds = FIRST_BACK_OFF_SECONDS
        child.restart_at = now + child.back_off_seconds
        self.say(
            f"{child.program.name} ended ({_how(child.process.returncode)}); starting it again in "
            f"{child.back_off_seconds:g} s. Its log: {self.log_of(child.program.name)}"
        )
        child.back_off_seconds = min(child.back_off_seconds * 2, LONGEST_BACK_OFF_SECONDS)

    def _start_again(self, child: _Child, now: float) -> None:
        try:
            child.process = self._spawn(child.program)
            child.started_at, child.restart_at = now, None
            self.changed()
        except OSError as error:  # a full disk, no more processes: it may pass
            child.restart_at = now + child.back_off_seconds if not self._runs(child) else None
            child.back_off_seconds = min(child.back_off_seconds * 2, LONGEST_BACK_OFF_SECONDS)
            self.say(f"{child.program.name} cannot be started now: {error}")

    @staticmethod
    def _runs(child: _Child) -> bool:
        return child.process.poll() is None

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        self.logs.mkdir(parents=True, exist_ok=True)
        laid_over = {**os.environ, **program.environment}
        environment = {name: value for name, value in laid_over.items() if value is not None}
        with self.log_of(program.name).open("ab") as log:
            return subprocess.Popen(
                list(program.command),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we end the children in order
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
            )


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Even SIGKILL of the supervisor leaves no child: the kernel ends them."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _how(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
