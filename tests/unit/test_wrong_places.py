"""A place that cannot be used, or a port that is none, is one sentence and exit code 2."""

import sys
from pathlib import Path

import pytest

from steward import __version__
from steward.cli import app
from steward.cli.addresses import Ports
from steward.errors import ConfigurationError
from steward.settings import load_settings

WORDS = [("token", "create", "ada", "--init"), ("up",), ("replica", "--model", "fraud")]


def said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[object, str, str]:
    monkeypatch.setattr(sys, "argv", ["steward", *words])
    with pytest.raises(SystemExit) as ended:
        app.main()
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/steward"])
def test_a_data_directory_that_cannot_be_one_is_told_by_the_name_of_its_setting(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    place: str,
    words: tuple[str, ...],
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEWARD_DATA_DIR", str(tmp_path / place))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")

    code, _, err = said(monkeypatch, capsys, *words)

    assert code == 2
    assert "STEWARD_DATA_DIR" in err
    assert len(err.splitlines()) == 1


def test_a_database_that_is_a_directory_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "steward.db").mkdir()
    monkeypatch.setenv("STEWARD_DATA_DIR", str(tmp_path))

    code, _, err = said(monkeypatch, capsys, "token", "list")

    assert (code, "steward.db is a directory" in err) == (2, True)


def test_a_replica_without_mlflow_s_address_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    code, _, err = said(monkeypatch, capsys, "replica", "--model", "fraud")

    assert (code, "MLFLOW_TRACKING_URI is not set." in err) == (2, True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("port", [-1, 0, 65_536])
def test_what_is_no_port_is_refused_by_the_stack(port: int) -> None:
    with pytest.raises(ConfigurationError, match="is no port"):
        Ports().take(port, 8800, "the receiver")


@pytest.mark.parametrize("role", [("receiver",), ("replica", "--model", "fraud")])
def test_what_is_no_port_is_a_usage_error_of_a_role(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], role: tuple[str, ...]
) -> None:
    code, _, err = said(monkeypatch, capsys, *role, "--port", "65536")

    assert (code, "65535" in err) == (2, True)


@pytest.mark.parametrize("name", ["STEWARD_PORT", "STEWARD_HEALTH_PORT"])
def test_a_setting_that_is_no_port_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "65536")

    with pytest.raises(ConfigurationError, match=name):
        load_settings()


def test_the_version_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(monkeypatch, capsys, "--version")[:2] == (0, f"steward {__version__}\n")
