"""Chooses the TCP ports of the local stack. `steward up` and the demo use it."""

import fcntl
import os
import socket
import tempfile
from pathlib import Path

from steward.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
HIGHEST = 65_535


class Ports:
    """Gives out ports: a named one or an error, a default one or the next that is free.

    A server may take half a minute until it listens. Until then a lock file keeps another stack on
    this machine from choosing the same port.
    """

    def __init__(self) -> None:
        self._locks: dict[int, int] = {}  # the open files; they end with the process
        self.moved: list[str] = []

    def take(self, asked: int | None, default: int, what: str, *, host: str = LOOPBACK) -> int:
        """The asked port, or the default, or the next free one after it (and ``moved`` says so).

        Raises:
            ConfigurationError: a port that was asked for is taken, or is none.

        """
        if asked is not None and not 1 <= asked <= HIGHEST:
            raise ConfigurationError(f"{asked} for {what} is no port: expected 1 to {HIGHEST}.")
        if asked is not None:
            if not self._claim(asked, host):
                raise ConfigurationError(
                    f"Port {asked} for {what} is taken. Choose another, or end what listens there."
                )
            return asked
        port = default
        while not self._claim(port, host):
            port += 1
        if port != default:
            self.moved.append(f"Port {default} for {what} is taken: using {port}.")
        return port

    @staticmethod
    def is_free(port: int) -> bool:
        """Whether nobody listens on a port of loopback now."""
        return _is_free(port, LOOPBACK)

    def any(self) -> int:
        """Any free port, for what nobody needs to know."""
        while True:
            with socket.socket() as probe:
                probe.bind((LOOPBACK, 0))
                port: int = probe.getsockname()[1]
            if self._claim(port, LOOPBACK):
                return port

    def release(self) -> None:
        """Let others choose them; the end of the process does the same."""
        for lock in self._locks.values():
            os.close(lock)
        self._locks.clear()

    def _claim(self, port: int, host: str) -> bool:
        if port in self._locks or not _is_free(port, host):
            return False
        file = Path(tempfile.gettempdir()) / f"steward-port-{port}.lock"
        try:
            # Everybody may write there: a link that another user put in place is not followed.
            lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError:  # another user's
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another stack
            os.close(lock)
            return False
        self._locks[port] = lock
        return True


def _is_free(port: int, host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
