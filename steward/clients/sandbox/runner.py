"""The warm runner: a small process that holds the libraries, and forks a keeper per examination.

:class:`steward.clients.sandbox.client.ProcessSandbox` starts it with a scrubbed environment. It
takes orders (a line of JSON and two sockets) until its owner ends or has not asked for ten minutes,
and loads no model itself.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import psutil

from steward.clients.sandbox import isolation

_LOOK_SECONDS = 1.0
_IDLE_SECONDS = 600.0
_LIBRARIES = ("mlflow", "scikit-learn", "skops", "numpy", "pandas", "scipy", "cloudpickle")
_WARM = (
    *("steward.clients.sandbox.keeper", "skops.io", "pyarrow.feather", "cloudpickle"),
    *("sklearn.compose", "sklearn.ensemble", "sklearn.impute", "sklearn.linear_model"),
    *("sklearn.neighbors", "sklearn.neural_network", "sklearn.pipeline", "sklearn.svm"),
    *("sklearn.calibration", "sklearn.naive_bayes", "sklearn.preprocessing", "sklearn.tree"),
)


def main() -> None:
    """Get warm, say so, take orders until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, which then ends us
    control = socket.socket(fileno=int(sys.argv[1]))
    isolation.adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="steward-probe-") as home:
        level = "L2" if isolation.can_isolate(Path(home)) else "L1"
    for name in _WARM:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else each fork copies every page that a collection touches
    ready = {"level": level, "libraries": {name: version(name) for name in _LIBRARIES}}
    control.sendall(json.dumps(ready).encode() + b"\n")
    keepers: set[int] = set()
    last_order = time.monotonic()
    while keepers or time.monotonic() - last_order < _IDLE_SECONDS:
        _reap(keepers)
        if not select.select([control], [], [], _LOOK_SECONDS)[0]:
            continue
        message, fds, _, _ = socket.recv_fds(control, 1 << 20, 2)
        if not message:
            return
        last_order = time.monotonic()
        keepers.add(_fork_keeper(message, fds, control))


def _fork_keeper(message: bytes, fds: list[int], control: socket.socket) -> int:
    channel, lifeline = (socket.socket(fileno=fd) for fd in fds)
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            from steward.clients.sandbox.keeper import keep

            control.close()
            keep(json.loads(message), channel, lifeline)
            code = 0
        finally:
            os._exit(code)
    channel.close()
    lifeline.close()
    return pid


def _reap(keepers: set[int]) -> None:
    """Collect keepers that ended; what is orphaned here lost its keeper, and is ended."""
    with suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            keepers.discard(pid)
    for one in psutil.Process().children():
        if one.pid not in keepers:
            with suppress(psutil.Error):
                one.kill()


if __name__ == "__main__":
    main()
