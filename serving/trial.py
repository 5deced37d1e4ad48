"""Tries a version in another process before this one loads it. Used by the loader thread.

A model is a program that somebody else wrote: it may crash the process that loads it, take all of
its memory, or never come to an end. A replica serves others meanwhile, so it lets a child load it
first; only what came well through that is loaded here.
"""

import json
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from steward.errors import PermanentError, TransientError
from steward.logs import get_logger

START_SECONDS = 60.0
"""Importing MLflow takes seconds, on a busy machine many."""
SHARE_OF_AVAILABLE = 0.9
_CGROUP = Path("/sys/fs/cgroup")
log = get_logger()


class Trial:
    """A child that loads versions first, started when it is needed."""

    def __init__(self, *, seconds: float, memory_mb: int | None = None) -> None:
        """``seconds``: the longest a version may load; ``memory_mb``: the most it may take.

        None is nine tenths of what is available when it begins.
        """
        self._seconds = seconds
        self._memory_mb = memory_mb
        self._process: subprocess.Popen[bytes] | None = None

    def warm(self) -> None:
        """Start the child, if it does not run: it imports MLflow while its caller does so, too."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serving.trial_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )

    def load(self, version: str, files: Path) -> None:
        """Let it be loaded and warmed up there.

        Raises:
            PermanentError: it does not load, or not within its limits.
            TransientError: it could not be tried.

        """
        order = {
            "version": version,
            "files": str(files),
            "seconds": self._seconds,
            "memory_bytes": self._memory_bytes(),
        }
        began = time.monotonic()
        answer = self._ask(order)
        if error := answer.get("error"):
            told = (
                error if answer.get("is_its_own") else f"Version {version} does not load: {error}"
            )
            raise PermanentError(told)
        log.info("version_tried", version=version, seconds=round(time.monotonic() - began, 3))

    def close(self) -> None:
        """End the process, and what it runs."""
        process, self._process = self._process, None
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

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + START_SECONDS + self._seconds
        try:
            self.warm()
            line = _converse(self._process, json.dumps(order).encode() + b"\n", deadline)
        except OSError as error:
            self.close()
            raise TransientError(f"A version could not be tried: {error}") from error
        if not line:
            self.close()
            raise TransientError("A version could not be tried: the process for it ended or hangs.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _memory_bytes(self) -> int:
        if self._memory_mb is not None:
            return self._memory_mb << 20
        return int(_available_bytes() * SHARE_OF_AVAILABLE)


def _converse(process: "subprocess.Popen[bytes] | None", line: bytes, deadline: float) -> bytes:
    """Send a line and read one; empty when the other side ended, or the deadline came."""
    if process is None or process.stdin is None or process.stdout is None:
        return b""
    process.stdin.write(line)
    answer = b""
    while not answer.endswith(b"\n"):
        left = max(0.0, deadline - time.monotonic())
        if not select.select([process.stdout], [], [], left)[0]:
            return b""
        read = process.stdout.read(65_536)
        if not read:
            return b""
        answer += read
    return answer


def _available_bytes() -> int:
    """Memory that may still be taken, by this machine and this container; 0 if nobody tells."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable")]
        limit = (_CGROUP / "memory.max").read_text().strip()
        if limit != "max":
            found.append(int(limit) - int((_CGROUP / "memory.current").read_text()))
    except (OSError, ValueError):
        pass  # no Linux, or no cgroup of our own
    return min(found, default=0)
