"""Opens models in children of a warm runner: the port Sandbox. The examination uses it.

One :class:`ProcessSandbox` a process; the runner is started when it is first needed, and again
when it has ended.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from steward.clients.sandbox.contents import check_contents
from steward.clients.sandbox.facts import column_names, facts_of
from steward.clients.sandbox.model import RunningModel
from steward.errors import PermanentError, TransientError
from steward.logs import get_logger
from steward.policy.sandbox import Level
from steward.ports import ModelFiles, SandboxedModel, SandboxLimits

START_SECONDS = 120.0
CLOSE_SECONDS = 1.0
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_SET_VARIABLES = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "OMP_NUM_THREADS": "1",  # OpenMP's threads do not survive a fork
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "LOKY_MAX_CPU_COUNT": "1",  # else joblib starts processes
    "PYTHONDONTWRITEBYTECODE": "1",
    "HOME": "/nonexistent",
}
log = get_logger()


class ProcessSandbox:
    """Models in child processes of a warm runner."""

    def __init__(self, *, start_seconds: float = START_SECONDS) -> None:
        self._start_seconds = start_seconds
        self._lock = threading.Lock()
        self._runner: _Runner | None = None

    @property
    def level(self) -> Level:
        """The level in force here; starts the runner, which finds out."""
        with self._lock:
            return self._warm().level

    def warm(self) -> None:
        """Start the runner, if it does not run. TransientError: it does not start."""
        with self._lock:
            self._warm()

    @contextmanager
    def open(self, files: ModelFiles, limits: SandboxLimits) -> Iterator[SandboxedModel]:
        """See the port."""
        told = check_contents(files.path, limits)
        with self._lock:
            runner = self._warm()
            if runner.level < limits.min_level:
                raise PermanentError(
                    f"The policy asks for a sandbox of level {limits.min_level}, and this machine "
                    f"reaches {runner.level}: its kernel or container allows no user namespaces."
                )
            facts = facts_of(told, files.path, runner.libraries)
            channel, lifeline = self._order(runner, files, limits, facts.flavor, told)
        model = RunningModel(channel, lifeline, facts, limits)
        try:
            model.load()
            yield model
        finally:
            model.close()

    def close(self) -> None:
        """End the runner; models that are open end with it.

        One that is only starting is not waited for: it ends with this process.
        """
        if not self._lock.acquire(timeout=CLOSE_SECONDS):
            return
        try:
            runner, self._runner = self._runner, None
            if runner is not None:
                runner.close()
        finally:
            self._lock.release()

    def _warm(self) -> "_Runner":
        if self._runner is not None and not self._runner.is_usable():
            self._runner.close()
            self._runner = None
        if self._runner is None:
            self._runner = _Runner(self._start_seconds)
        return self._runner

    def _order(
        self,
        runner: "_Runner",
        files: ModelFiles,
        limits: SandboxLimits,
        flavor: str,
        told: Mapping[str, Any],
    ) -> tuple[socket.socket, socket.socket]:
        ours, theirs = zip(socket.socketpair(), socket.socketpair(), strict=True)
        order = {
            "files": str(files.path.resolve()),
            "flavor": flavor,
            "columns": column_names(told),
            "level": runner.level,
            "cpu_seconds": limits.cpu_seconds,
            "memory_mib": limits.memory_mib,
        }
        try:
            runner.send(order, [one.fileno() for one in theirs])
        except OSError as error:
            for one in ours:
                one.close()
            raise TransientError(f"The runner of the sandbox ended: {error}") from error
        finally:
            for one in theirs:
                one.close()
        return ours[0], ours[1]


class _Runner:
    """The runner's process and the socket to it."""

    def __init__(self, start_seconds: float) -> None:
        began = time.monotonic()
        self._owner = os.getpid()
        # A message must arrive whole, with its sockets.
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "steward.clients.sandbox.runner", str(theirs.fileno())],
                env=scrubbed_environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        except OSError as error:
            self._control.close()
            raise TransientError(f"The runner of the sandbox does not start: {error}") from error
        finally:
            theirs.close()
        self._control.settimeout(start_seconds)
        try:
            ready = json.loads(self._control.recv(1 << 16))
        except (OSError, ValueError) as error:
            self.close()
            raise TransientError("The runner of the sandbox did not get ready.") from error
        self.level: Level = ready["level"]
        self.libraries: dict[str, str] = ready["libraries"]
        seconds = round(time.monotonic() - began, 3)
        log.info("sandbox_ready", level=self.level, seconds=seconds)

    def is_usable(self) -> bool:
        """It lives, and is this process's own: a fork of its owner must not share it."""
        return self._owner == os.getpid() and self._process.poll() is None

    def send(self, order: Mapping[str, Any], fds: list[int]) -> None:
        socket.send_fds(self._control, [json.dumps(order).encode()], fds)

    def close(self) -> None:
        self._control.close()  # it ends when its owner is gone
        if self._owner != os.getpid():
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def scrubbed_environment() -> dict[str, str]:
    """What the runner may know of the environment: where programs and our own code are."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    paths = [str(Path(entry).resolve()) for entry in sys.path]
    return {**kept, **_SET_VARIABLES, "PYTHONPATH": os.pathsep.join(paths)}
