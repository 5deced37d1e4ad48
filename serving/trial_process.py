"""Loads versions in forks of a small process, so that what they do to it they do to no replica.

``serving/trial.py`` starts it and speaks to it in lines of JSON: it says once that it is ready,
then for each order on stdin which process tries it, and what came of that. It ends when stdin ends,
or when nobody has asked for ten minutes: it holds MLflow.
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
from typing import Any, TextIO

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
    _tell(answers, {"ready": True})
    while select.select([0], [], [], IDLE_SECONDS)[0]:
        line = _read_line()
        if not line:
            return
        answer = _try(json.loads(line), answers)
        modules = answer.pop("modules", ())
        _tell(answers, answer)
        for name in modules:
            with suppress(Exception):  # it only makes the next trial faster
                importlib.import_module(name)
        gc.freeze()  # else each fork copies every page that a collection touches


def _tell(answers: TextIO, answer: dict[str, Any]) -> None:
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


def _try(order: dict[str, Any], answers: TextIO) -> dict[str, Any]:
    """Load a version in a fork, and watch it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _load(order, writing)
    os.close(writing)
    try:
        _tell(answers, {"fork": pid})  # who ends us must end it, too
        answer = _watch(pid, reading, order)
    finally:
        os.close(reading)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # with whatever it started
        _, status = os.waitpid(pid, 0)
    return answer or {"error": f"it ended the process that loaded it ({_how(status)})"}


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
        pipe.write(json.dumps(told).encode() + b"\n")
    os._exit(0)


def _watch(pid: int, reading: int, order: dict[str, Any]) -> dict[str, Any]:
    """What the fork tells, or what it did wrong; empty if it ended without a word.

    Its message ends with its line, not with the pipe: what it started may hold that open for good.
    """
    began = time.monotonic()
    first_bytes = _resident_bytes(pid)  # MLflow's pages, which are here anyway
    told = b""
    while b"\n" not in told:
        readable = select.select([reading, 0], [], [], LOOK_SECONDS)[0]
        if reading in readable:
            read = os.read(reading, 65_536)
            if not read:
                return {}
            told += read
        elif 0 in readable:
            return {"error": "the replica ended"}  # it asks for one at a time: stdin's end
        if error := _excess(time.monotonic() - began, _resident_bytes(pid) - first_bytes, order):
            return {"error": error}
    answer: dict[str, Any] = json.loads(told.partition(b"\n")[0])
    return answer


def _excess(seconds: float, taken_bytes: int, order: dict[str, Any]) -> str | None:
    """Which limit a version exceeds, and what to do if it is a good one."""
    if seconds > order["seconds"]:
        return (
            f"it did not load within {order['seconds']:g} s. Should it need longer, raise "
            "STEWARD_LOAD_SECONDS, and reload.timeout_seconds of its policy to 10 s more than "
            "twice that: it is loaded twice"
        )
    if order["memory_bytes"] and taken_bytes > order["memory_bytes"]:
        return (
            f"it took {taken_bytes >> 20} MiB of memory to load, and "
            f"{order['memory_bytes'] >> 20} MiB may be used (STEWARD_LOAD_MEMORY_MB)"
        )
    return None


def _resident_bytes(pid: int) -> int:
    """Memory of the fork; 0 where the system does not tell."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit code {os.waitstatus_to_exitcode(status)}"


if __name__ == "__main__":
    main()
