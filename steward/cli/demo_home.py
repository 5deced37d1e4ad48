"""The demo's own world: an empty directory, and an environment in which nobody's settings count."""

import fcntl
import os
import shutil
from pathlib import Path

from steward.errors import ConfigurationError
from steward.settings import environment_with_dotenv

MARKER = "this-is-a-steward-demo"
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_PREFIXES = ("STEWARD_", "MLFLOW_")


def make_empty(home: Path) -> None:
    """An empty directory with our marker; an earlier demo's is emptied.

    Raises:
        ConfigurationError: something else is in it, or a demo runs in it now.

    """
    if home.exists() and not home.is_dir():
        raise ConfigurationError(f"{home} is a file; the demo needs a directory of its own.")
    if home.exists() and any(home.iterdir()):
        if not (home / MARKER).exists():
            raise ConfigurationError(
                f"{home} holds something that no demo made, and the demo would delete it. "
                "Choose another --data-dir."
            )
        _refuse_if_running(home)
        for path in home.iterdir():
            if path.name != MARKER:  # it goes last, so that half a deletion can be repeated
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / MARKER).touch()


def isolate(home: Path) -> list[str]:
    """Forget every setting of Steward and MLflow; returns the names of those that were set.

    The working directory becomes an empty one, so that no process of the demo reads a ``.env``.
    """
    found = environment_with_dotenv().keys() - _QUIET.keys()
    ignored = sorted(name for name in found if name.startswith(_PREFIXES))
    for name in ignored:
        os.environ.pop(name, None)
    os.environ |= _QUIET
    for name in ("NO_PROXY", "no_proxy"):  # everything here is on this machine
        os.environ[name] = "127.0.0.1,localhost"
    work = home / "work"
    work.mkdir()
    os.chdir(work)
    return ignored


def _refuse_if_running(home: Path) -> None:
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(
                f"A demo runs in {home} already. End it first, or use another --data-dir."
            ) from error
