"""Models that do harm when they are asked to score; pickled by name, so that a child imports them.

They look like scikit-learn's regressors, so that MLflow's flavor for these loads them.
"""

import ctypes
import os
import socket
import sys
import time
from pathlib import Path


class Model:
    def predict(self, rows):  # type: ignore[no-untyped-def]  # pandas, untyped here
        self.act()
        return [0.0] * len(rows)

    def act(self) -> None:
        """What it does instead of scoring."""


class Hangs(Model):
    def act(self) -> None:
        while True:
            time.sleep(60)


class Spins(Model):
    def act(self) -> None:
        while True:
            pass


class Crashes(Model):
    def act(self) -> None:
        ctypes.string_at(0)


class Aborts(Model):
    def act(self) -> None:
        os.abort()


class EndsSilently(Model):
    def act(self) -> None:
        os._exit(0)


class Allocates(Model):
    def act(self) -> None:
        taken = []
        while True:
            taken.append(bytearray(16 << 20))


class LeavesDaemon(Model):
    """Forks twice and leaves its session, as daemons do; answers well meanwhile."""

    def act(self) -> None:
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            return
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
        os._exit(0)


class ForksWithoutEnd(Model):
    def act(self) -> None:
        while True:
            try:
                os.fork()
            except OSError:
                time.sleep(0.01)


class PrintsGigabyte(Model):
    def act(self) -> None:
        for _ in range(1024):
            sys.stdout.write("x" * (1 << 20))


class PrintsThenCrashes(Model):
    def act(self) -> None:
        print("the last words", flush=True)  # noqa: T201
        os.kill(os.getpid(), 9)
        os._exit(5)


class Connects(Model):
    def act(self) -> None:
        socket.create_connection(("192.0.2.1", 9), timeout=20)


class WritesBigFile(Model):
    def act(self) -> None:
        with Path("big").open("wb") as file:
            file.writelines(bytes(1 << 20) for _ in range(512))


class WritesEverywhere(Model):
    """Writes beside its own files, where others would read it."""

    def __init__(self, path: str = "") -> None:
        self.path = path

    def act(self) -> None:
        Path(self.path).write_text("was here")


class TellsEnvironment(Model):
    def act(self) -> None:
        raise RuntimeError(" ".join(sorted(os.environ)) + f" HOME={os.environ['HOME']}")


class AnswersTooMuch(Model):
    def predict(self, rows):  # type: ignore[no-untyped-def]
        return [0.0] * (len(rows) + 1)


class AnswersText(Model):
    def predict(self, rows):  # type: ignore[no-untyped-def]
        return ["good"] * len(rows)


class HangsWhenLoaded(Model):
    def __setstate__(self, state: object) -> None:
        time.sleep(600)

    def __getstate__(self) -> object:
        return {"any": 1}
