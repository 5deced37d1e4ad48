"""A real RabbitMQ for tests: Debian's package, started by us in a directory of the test's own.

It has its own node name, cookie, ports and port mapper (epmd), so that it meets no other RabbitMQ
of this machine, and nothing of it lives on when it was stopped.
"""

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

from tests.conftest import missing
from tests.servers import Child, Server, free_port

PROGRAMS = Path("/usr/lib/rabbitmq/bin")  # the wrappers in /usr/sbin want the service's user
READY_SECONDS = 90.0


def require_rabbitmq() -> None:
    """Skip where RabbitMQ is missing on a laptop; fail in CI."""
    if not (PROGRAMS / "rabbitmq-server").exists() or shutil.which("epmd") is None:
        missing("RabbitMQ is missing: apt-get install rabbitmq-server.")


class RabbitServer(Server):
    """One node. What is durable outlives :meth:`kill` and a later :meth:`start`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self._distribution_port, self._epmd_port = (free_port() for _ in range(3))
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.node = f"test{self.port}@localhost"
        self._epmd: Child | None = None

    def start(self) -> Self:
        """Start it and wait until it takes connections; about five seconds."""
        self._write_configuration()
        if self._epmd is None:
            mapper = ("epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1")
            self._epmd = Child(mapper, self.directory / "epmd.log")
            self._epmd.wait_until(lambda: _is_open(self._epmd_port), 10)
        self.child = Child(
            [PROGRAMS / "rabbitmq-server", "-noinput"],
            self.directory / "rabbit.log",
            env=self._environment(),
        )
        self.child.wait_until(self.is_answering, READY_SECONDS)
        return self

    def stop(self) -> None:
        """End it, and its port mapper."""
        if self.child:
            self.child.stop(20)
        if self._epmd:
            self._epmd.kill()
            self._epmd = None

    def is_answering(self) -> bool:
        """Whether it speaks AMQP: a wrong header is answered with the right one."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.settimeout(2)
                connection.sendall(b"HELLO...")
                return connection.recv(4) == b"AMQP"
        except OSError:
            return False

    def ask(self, *arguments: str) -> list[list[str]]:
        """Rows that ``rabbitmqctl`` answers, each a list of columns."""
        done = subprocess.run(
            [
                PROGRAMS / "rabbitmqctl",
                "--quiet",
                "-n",
                self.node,
                "--no-table-headers",
                *arguments,
            ],
            env={**os.environ, **self._environment()},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return [line.split("\t") for line in done.stdout.splitlines() if line.strip()]

    # -- inside ---------------------------------------------------------------------------------

    def _write_configuration(self) -> None:
        (self.directory / "rabbit.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
            "disk_free_limit.absolute = 1MB\n"
        )
        (self.directory / "plugins").write_text("[].\n")
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        cookie = home / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(f"cookie{self.port}")
            cookie.chmod(0o400)

    def _environment(self) -> dict[str, str]:
        place = self.directory
        return {
            "HOME": str(place / "home"),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(place / "mnesia"),
            "RABBITMQ_LOG_BASE": str(place / "log"),
            "RABBITMQ_CONFIG_FILE": str(place / "rabbit.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "plugins"),
            "RABBITMQ_ALLOW_INPUT": "true",  # no shell in between: signals reach the node itself
            # One scheduler that sleeps when idle: the tests' other processes need the cores.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none "
                "-kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
