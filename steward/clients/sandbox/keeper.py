"""One examination's keeper: forks the child that loads the model, watches it, leaves nothing.

The runner forks one keeper an examination. It is another process than the child, so that what the
model does to its own process it does to no one who must tell of it.
"""

import json
import os
import select
import shutil
import signal
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from steward.clients.sandbox import child, isolation

LOOK_SECONDS = 0.1
KEPT_OUTPUT_BYTES = 64 << 10
MOST_OUTPUT_BYTES = 16 << 20
_PATIENCE_SECONDS = 10.0


def keep(order: dict[str, Any], channel: socket.socket, lifeline: socket.socket) -> None:
    """Run one examination; ``lifeline`` is where its owner asks, and learns how it ended."""
    isolation.adopt_orphans()
    os.setsid()
    home = Path(tempfile.mkdtemp(prefix="steward-model-"))
    try:
        Keeper(order, channel, lifeline, home).run()
    finally:
        _end_all()
        shutil.rmtree(home, ignore_errors=True)


class Keeper:
    """The watch over one child."""

    def __init__(
        self, order: dict[str, Any], channel: socket.socket, lifeline: socket.socket, home: Path
    ) -> None:
        self._order = order
        self._lifeline = lifeline
        self._output = b""
        self._printed_bytes = 0
        self._cpu_seconds = 0.0
        reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            lifeline.close()
            os.close(reading)
            _become_child(order, channel, writing, home)
        channel.close()
        os.close(writing)
        self._printed = reading

    def run(self) -> None:
        """Watch until the child ends, or breaks a limit, or its owner has enough."""
        ending = None
        while ending is None:
            lifeline = self._lifeline.fileno()
            watched = [lifeline, self._printed] if self._printed >= 0 else [lifeline]
            readable = select.select(watched, [], [], LOOK_SECONDS)[0]
            if self._printed in readable:
                self._read_printed()
            ending = self._fault() or self._end_of_child()
            if lifeline in readable and ending is None:
                asked = self._lifeline.recv(1)
                if asked == b"?":  # is all well?
                    self._lifeline.sendall(b'{"reason": null}\n')
                else:  # enough, or the owner ended
                    ending = {"reason": "asked", "told": "it was ended"}
        self._tell(ending)

    def _tell(self, ending: dict[str, Any]) -> None:
        _end_all()
        while self._printed >= 0 and select.select([self._printed], [], [], 0)[0]:
            self._read_printed()
            if self._printed_bytes > MOST_OUTPUT_BYTES:
                break
        text = self._output.decode(errors="replace")
        with suppress(OSError):
            self._lifeline.sendall(json.dumps({**ending, "output": text}).encode() + b"\n")

    def _read_printed(self) -> None:
        read = os.read(self._printed, 1 << 20)
        if not read:
            os.close(self._printed)
            self._printed = -1
        self._printed_bytes += len(read)
        self._output += read[: KEPT_OUTPUT_BYTES - len(self._output)]

    def _fault(self) -> dict[str, Any] | None:
        """Which limit the child broke."""
        if self._printed_bytes > MOST_OUTPUT_BYTES:
            return {
                "reason": "output",
                "told": f"it printed more than {MOST_OUTPUT_BYTES >> 20} MiB",
            }
        own = psutil.Process()
        living = [one for one in own.children(recursive=True) if _is_alive(one)]
        if len(living) > (2 if self._order["level"] == "L2" else 1):
            return {"reason": "processes", "told": "it started processes of its own"}
        self._cpu_seconds = max(self._cpu_seconds, sum(map(_cpu_seconds, living)))
        return None

    def _end_of_child(self) -> dict[str, Any] | None:
        """How the child ended, if it did."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid == 0:
            return None
        code = os.waitstatus_to_exitcode(status)
        limit_seconds = self._order["cpu_seconds"]
        if code == -signal.SIGKILL and self._cpu_seconds >= limit_seconds - 4 * LOOK_SECONDS:
            return {"reason": "cpu", "told": f"it used more than {limit_seconds} s of CPU time"}
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return {"reason": "crash", "told": f"it ended its process ({how}) without an answer"}


def _become_child(order: dict[str, Any], channel: socket.socket, output: int, home: Path) -> None:
    """In the fork: give up everything, then load the model. Never returns."""
    code = 70
    try:
        isolation.die_with_parent()
        os.setsid()
        _wear(home, output, channel.fileno())
        if order["level"] == "L2":
            isolation.enter_namespaces()
            pid = os.fork()  # the first process of its namespace: when it ends, all others do
            if pid:
                _follow(pid)
            isolation.die_with_parent()
            isolation.seal(home)
        os.chdir(home)
        isolation.limit(cpu_seconds=order["cpu_seconds"], memory_mib=order["memory_mib"])
        child.serve(channel, Path(order["files"]), order["flavor"], order["columns"])
        code = 0
    finally:
        os._exit(code)


def _follow(pid: int) -> None:
    """Wait for the process that matters, and end as it did. Never returns."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


def _wear(home: Path, output: int, channel: int) -> None:
    """A home, a umask, standard streams of its own; every other file closed."""
    os.umask(0o077)
    os.environ.update(HOME=str(home), TMPDIR=str(home))
    tempfile.tempdir = str(home)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, channel)
    os.closerange(channel + 1, 1 << 16)


def _end_all() -> None:
    """Kill every descendant, those that hid in sessions of their own, too, until none is left."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        descendants = psutil.Process().children(recursive=True)
        for one in descendants:
            with suppress(psutil.Error):
                one.suspend()  # else it starts others while we kill
        for one in descendants:
            with suppress(psutil.Error):
                one.kill()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            time.sleep(0.001)
            continue
        return


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _cpu_seconds(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0
