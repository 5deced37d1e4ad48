"""Tries a version in another process before this one loads it. Used by the loader thread.

A model is a program that somebody else wrote: it may crash the process that loads it, take all of
its memory, or never come to an end. A replica serves others meanwhile, so it lets a child load it
first; only what came well through that is loaded here.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from steward.errors import PermanentError, TransientError
from steward.logs import get_logger

START_SECONDS = 8.0
"""How long a version waits for a child that still imports MLflow; then it is to be asked for again.
Whoever ordered it waits, too, and it is to be loaded twice in that time."""
HANG_SECONDS = 5.0
"""How much later than a version's limit the child, which keeps that limit, must have answered."""
SHARE_OF_AVAILABLE = 0.9
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
log = get_logger()


class Trial:
    """A child that loads versions first, started when it is needed."""

    def __init__(
        self,
        *,
        seconds: float,
        memory_mb: int | None = None,
        start_seconds: float = START_SECONDS,
    ) -> None:
        """``seconds``: the longest a version may load; ``memory_mb``: the most it may take.

        None is nine tenths of what is available when it begins.
        """
        self._seconds = seconds
        self._start_seconds = start_seconds
        self._memory_mb = memory_mb
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False
        self._fork: int | None = None

    def warm(self) -> None:
        """Start the child, if it does not run: it imports MLflow while its caller does so, too.

        Raises:
            TransientError: it could not be started.

        """
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serving.trial_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
        except OSError as error:
            raise TransientError(f"No version can be tried now: {error}") from error

    def load(self, version: str, files: Path) -> None:
        """Let it be loaded and warmed up there.

        Raises:
            PermanentError: it does not load, or not within its limits.
            TransientError: it could not be tried.

        """
        began = time.monotonic()
        answer = self._ask(version, files)
        if error := answer.get("error"):
            told = (
                error if answer.get("is_its_own") else f"Version {version} does not load: {error}"
            )
            raise PermanentError(told)
        log.info("version_tried", version=version, seconds=round(time.monotonic() - began, 3))

    def close(self) -> None:
        """End the process, and what it runs."""
        process, self._process = self._process, None
        fork, self._fork = self._fork, None
        self._is_ready = False
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()  # it ends when its input does
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if fork is not None and process.returncode != 0:  # else it has ended its fork itself
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(fork, signal.SIGKILL)

    def _ask(self, version: str, files: Path) -> dict[str, Any]:
        self.warm()
        process = self._process
        try:
            if not self._is_ready:
                deadline = time.monotonic() + self._start_seconds
                self._is_ready = "ready" in _read(process, deadline)
            _write(process, self._order(version, files))
            deadline = time.monotonic() + self._seconds + HANG_SECONDS
            self._fork = _read(process, deadline)["fork"]
            answer = _read(process, deadline)
            self._fork = None
        except TimeoutError as error:
            if not self._is_ready:  # it goes on meanwhile, and is ready when this is tried again
                raise TransientError(
                    "The process that tries versions is still starting."
                ) from error
            self.close()
            raise TransientError(
                "A version could not be tried: the process for it hangs."
            ) from error
        except (OSError, ValueError, KeyError) as error:
            self.close()
            raise TransientError(
                "A version could not be tried: the process for it ended."
            ) from error
        return answer

    def _order(self, version: str, files: Path) -> dict[str, Any]:
        return {
            "version": version,
            "files": str(files),
            "seconds": self._seconds,
            "memory_bytes": self._memory_bytes(),
        }

    def _memory_bytes(self) -> int:
        if self._memory_mb is not None:
            return self._memory_mb << 20
        return int(available_bytes() * SHARE_OF_AVAILABLE)


def _write(process: "subprocess.Popen[bytes] | None", order: dict[str, Any]) -> None:
    """Send a line. OSError: the other side ended."""
    if process is None or process.stdin is None:
        raise BrokenPipeError
    process.stdin.write(json.dumps(order).encode() + b"\n")


def _read(process: "subprocess.Popen[bytes] | None", deadline: float) -> dict[str, Any]:
    """Read a line, byte by byte: the next one may follow it at once.

    Raises:
        TimeoutError: the deadline came. BrokenPipeError: the other side ended.

    """
    if process is None or process.stdout is None:
        raise BrokenPipeError
    line = b""
    while not line.endswith(b"\n"):
        left = max(0.0, deadline - time.monotonic())
        if not select.select([process.stdout], [], [], left)[0]:
            raise TimeoutError
        read = process.stdout.read(1)
        if not read:
            raise BrokenPipeError
        line += read
    answer: dict[str, Any] = json.loads(line)
    return answer


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """Memory that may still be taken, by this machine and this container; 0 if nobody tells."""
    found = []
    with suppress(OSError, ValueError, KeyError):  # no Linux
        found.append(_fields(meminfo)["MemAvailable:"] << 10)
    with suppress(OSError, ValueError):  # no cgroup of our own, or one without a limit
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        # The files that it read count as used, and are given up when memory is needed.
        told = _fields(cgroup / "memory.stat")
        cached = told.get("inactive_file", 0) + told.get("active_file", 0)
        found.append(limit - used + cached)
    return min((size for size in found if size > 0), default=0)


def _fields(file: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    lines = [line.split() for line in file.read_text().splitlines()]
    return {line[0]: int(line[1]) for line in lines if len(line) > 1}
