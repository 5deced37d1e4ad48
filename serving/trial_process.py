"""Loads versions in forks of a small process, so that what they do to it they do to no replica.

``serving/trial.py`` starts it and speaks to it: one line of JSON in, one line out, on stdin and
stdout. It ends when stdin ends, or when nobody has asked for ten minutes: it holds MLflow.
"""

import gc
import importlib
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from serving.loading import import_mlflow, load_slot
from steward.errors import PermanentError

IDLE_SECONDS = 600.0
LOOK_SECONDS = 0.05
KEPT_LIBRARIES = ("sklearn", "scipy", "skops", "xgboost", "lightgbm")
"""What a version imported from these is imported here too: the next fork has it already."""


def main() -> None:
    """Answer orders until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the replica, which then ends us
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a model that prints must not answer in our name
    import_mlflow()
    while select.select([0], [], [], IDLE_SECONDS)[0]:
        line = _read_line()
        if not line:
            return
        answer = _try(json.loads(line))
        for name in answer.pop("modules", ()):
            with suppress(Exception):  # it only makes the next trial faster
                importlib.import_module(name)
        gc.freeze()  # else each fork copies every page that a collection touches
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _read_line() -> bytes:
    """One order. Unbuffered: ``select`` must see what is left."""
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(0, 65_536)
        if not read:
            return b""
        line += read
    return line


def _try(order: dict[str, Any]) -> dict[str, Any]:
    """Load a version in a fork, and watch it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _load(order, writing)
    os.close(writing)
    try:
        error = _watch(pid, reading, order)
        told = b"" if error else _read_all(reading)
    finally:
        os.close(reading)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # with whatever it started
        _, status = os.waitpid(pid, 0)
    if error:
        return {"error": error}
    if told:
        answer: dict[str, Any] = json.loads(told)
        return answer
    return {"error": f"it ended the process that loaded it ({_how(status)})"}


def _load(order: dict[str, Any], writing: int) -> None:
    """In the fork: load, tell, end. Never returns."""
    os.setsid()
    signal.alarm(int(order["seconds"]) + 5)  # should the watcher die, this ends it all the same
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # no other is to die in its place
    before = set(sys.modules)
    try:
        load_slot(order["version"], "trial", Path(order["files"]))
    except PermanentError as error:
        told: dict[str, Any] = {"error": str(error), "is_its_own": True}
    else:
        new = sorted(set(sys.modules) - before)
        told = {"modules": [name for name in new if name.partition(".")[0] in KEPT_LIBRARIES]}
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(json.dumps(told).encode())
    os._exit(0)


def _watch(pid: int, reading: int, order: dict[str, Any]) -> str | None:
    """Wait until the fork tells or ends; what it did wrong, if it took too much."""
    began = time.monotonic()
    while True:
        readable = select.select([reading, 0], [], [], LOOK_SECONDS)[0]
        if reading in readable:
            return None
        if 0 in readable:
            return "the replica ended"  # it asks for one at a time: this is the end of stdin
        if time.monotonic() - began > order["seconds"]:
            return f"it did not load within {order['seconds']:g} s (STEWARD_LOAD_SECONDS)"
        used = _resident_bytes(pid)
        if order["memory_bytes"] and used > order["memory_bytes"]:
            return (
                f"it took {used >> 20} MiB of memory to load, and {order['memory_bytes'] >> 20} "
                "MiB may be used (STEWARD_LOAD_MEMORY_MB)"
            )


def _resident_bytes(pid: int) -> int:
    """Memory of the fork; 0 where the system does not tell."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _read_all(reading: int) -> bytes:
    told = b""
    while read := os.read(reading, 65_536):
        told += read
    return told


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit code {os.waitstatus_to_exitcode(status)}"


if __name__ == "__main__":
    main()
