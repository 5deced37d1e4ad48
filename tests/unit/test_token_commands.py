"""`steward token` works on the journal that is there, and makes none by mistake."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from steward.cli.app import build
from steward.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("STEWARD_DATA_DIR", "STEWARD_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def token(*words: str) -> Result:
    return CliRunner().invoke(build(), ["token", *words])


@pytest.mark.parametrize("words", [("create", "ada"), ("list",), ("revoke", "t1")])
def test_where_no_journal_is_none_is_made(tmp_path: Path, words: tuple[str, ...]) -> None:
    error = token(*words).exception

    assert isinstance(error, ConfigurationError)
    assert f"There is no journal in {tmp_path / '.steward'}." in str(error)
    assert not (tmp_path / ".steward").exists()


def test_a_journal_that_is_asked_for_is_made_and_used_from_then_on() -> None:
    assert token("create", "ada", "--init").exit_code == 0
    assert token("create", "bob").exit_code == 0
    assert "bob" in token("list").output
