"""A real PostgreSQL for tests: a server of our own, or databases of our own in a given one.

The programs come from the wheel ``pgserver``, or from ``PATH`` where there is no wheel. The server
listens on a free loopback port and takes no password. It never runs as root: PostgreSQL refuses.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import psutil
from sqlalchemy.engine import make_url

from tests.servers import Child, eventually, free_port

OTHER_USER = "nobody"
"""Who runs the server where the tests are root's."""
_AS_OTHER_USER = (
    "import ctypes,os,pwd,signal,sys;"  # while it may still read Python's own folder
    "user=pwd.getpwnam(sys.argv[1]);"
    "os.setgroups([]);os.setgid(user.pw_gid);os.setuid(user.pw_uid);"
    # The kernel forgets whose death to tell when the user changes, so this comes after.
    "ctypes.CDLL(None).prctl(1,signal.SIGINT) if sys.platform=='linux' else None;"
    "os.execv(sys.argv[2],sys.argv[2:])"
)


def find_programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; None where this machine has neither."""
    wheel = find_spec("pgserver")  # not imported: that makes a user and looks for odd folders
    if wheel is not None and wheel.origin:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb", path=os.pathsep.join([os.environ["PATH"], *map(str, debian)]))
    # Debian keeps `postgres` beside the real initdb, which PATH may only link to.
    return Path(found).resolve().parent if found else None


class Databases:
    """Databases of our own in a PostgreSQL server: each name is made when first asked for."""

    def __init__(self, url: str, *, prefix: str = "") -> None:
        self.url = url
        """Of a database that is there already, of a user who may create others."""
        self.prefix = prefix
        self._made: dict[str, str] = {}

    def database(self, name: str) -> str:
        """The URL of the database of this name: empty the first time it is asked for."""
        if name not in self._made:
            full_name = f"{self.prefix}{name}"[:63]  # PostgreSQL cuts longer ones
            self.run(f'DROP DATABASE IF EXISTS "{full_name}" WITH (FORCE)')
            self.run(f'CREATE DATABASE "{full_name}"')
            url = make_url(self.url).set(database=full_name)
            self._made[name] = url.render_as_string(hide_password=False)
        return self._made[name]

    def run(self, statement: str) -> None:
        """Run one statement outside a transaction, as the server's owner."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement.encode())

    def drop(self) -> None:
        """Drop what was made here."""
        for url in self._made.values():
            self.run(f'DROP DATABASE IF EXISTS "{make_url(url).database}" WITH (FORCE)')
        self._made.clear()


class PostgresServer(Databases):
    """A server of our own, which a test may kill and start again: it keeps its port and its data.

    ``fsync`` is off: no power cut is tried here, and a killed server loses nothing by it.
    """

    def __init__(self, *settings: str) -> None:
        self.port = free_port()
        super().__init__(f"postgresql://postgres@127.0.0.1:{self.port}/postgres")
        self.settings = ("fsync=off", *settings)
        """Of ``postgresql.conf``: ``"max_connections=200"``."""
        # Not below pytest's own folder, which other users may not enter.
        self.directory = Path(tempfile.mkdtemp(prefix="steward-pg-"))
        self.child: Child | None = None
        self._programs = self._reachable_programs()

    def start(self) -> Self:
        """Start it, or start it again, and wait until it takes connections."""
        if not self._data.exists():
            self._initialize()
        options = [
            *("-D", self._data, "-h", "127.0.0.1", "-p", str(self.port), "-k", self.directory),
            *(part for setting in self.settings for part in ("-c", setting)),
        ]
        command = self._as_server_user(self._programs / "postgres", *options)
        self.child = Child(command, self.directory / "postgres.log")
        self.child.wait_until(self.is_answering, 60)
        return self

    def stop(self) -> None:
        """End it as ``pg_ctl stop -m fast`` does: transactions are rolled back."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as ``pg_ctl stop -m immediate`` does: without a goodbye; a start recovers."""
        self._end(signal.SIGQUIT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let every process of the server stand still: it is reachable, and answers nothing."""
        assert self.child is not None
        postmaster = psutil.Process(self.child.pid)
        postmaster.suspend()  # first, so that nobody is born meanwhile; to leave, others may
        stopped = [postmaster]
        try:
            for process in postmaster.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
                    stopped.append(process)
            yield
        finally:
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def remove(self) -> None:
        """Stop it and forget its data."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def is_answering(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _initialize(self) -> None:
        if _is_root():
            shutil.chown(self.directory, OTHER_USER)
        options = ("-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        initdb = self._as_server_user(self._programs / "initdb", "-D", self._data, *options)
        done = subprocess.run(initdb, cwd=self.directory, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()

    def _as_server_user(self, program: Path, *arguments: str | Path) -> list[str]:
        command = [str(program), *map(str, arguments)]
        if not _is_root():
            return command
        return [sys.executable, "-I", "-S", "-c", _AS_OTHER_USER, OTHER_USER, *command]

    def _reachable_programs(self) -> Path:
        """The programs where the server's user may run them: the wheel may lie in root's home."""
        found = find_programs()
        assert found is not None, "PostgreSQL is missing"
        if not _is_root() or all(each.stat().st_mode & 0o001 for each in (found, *found.parents)):
            return found
        copied = self.directory / "programs" / "pgserver" / "pginstall"
        shutil.copytree(found.parent, copied)
        libraries = found.parent.parent.with_suffix(".libs")  # the wheel's, beside the package
        if libraries.exists():
            shutil.copytree(libraries, copied.parent.with_suffix(".libs"))
        for each in (self.directory / "programs", *(self.directory / "programs").rglob("*")):
            each.chmod(0o755)
        return copied / "bin"

    def _end(self, number: signal.Signals) -> None:
        if (child := self.child) is not None:
            try:
                child.send(number)
                eventually(lambda: not child.is_alive(), 30)
            finally:
                child.stop()  # closes its log
        self.child = None


def _is_root() -> bool:
    return os.geteuid() == 0
