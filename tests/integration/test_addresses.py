"""Ports of the local stack are chosen without touching what others put in the lock files' place."""

import stat
import tempfile
from pathlib import Path

import pytest

from steward.cli.addresses import Ports
from tests.servers import free_port


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Path]:
    """A free port, and where its lock file is looked for."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    port = free_port()
    return port, tmp_path / f"steward-port-{port}.lock"


def test_a_port_has_one_owner_whose_lock_is_private(lock: tuple[int, Path]) -> None:
    port, file = lock
    first, second = Ports(), Ports()

    assert first.take(None, port, "the receiver") == port
    assert second.take(None, port, "the receiver") > port
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_link_in_the_lock_s_place_is_not_followed(lock: tuple[int, Path], tmp_path: Path) -> None:
    port, file = lock
    precious = tmp_path / "precious"
    precious.write_text("kept")
    file.symlink_to(precious)

    assert Ports().take(None, port, "the receiver") > port
    assert precious.read_text() == "kept"
