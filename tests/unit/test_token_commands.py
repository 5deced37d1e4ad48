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


def test_a_token_is_written_to_a_file_for_its_owner_alone_and_made_once(tmp_path: Path) -> None:
    file = tmp_path / "token"

    first = token("create", "ada", "--init", "--output", str(file))
    secret = file.read_text()
    again = token("create", "ada", "--output", str(file))

    assert secret.startswith("stw_")
    assert secret.strip() not in first.output
    assert file.stat().st_mode & 0o777 == 0o600
    assert (again.exit_code, file.read_text()) == (0, secret)
    assert token("list").output.count("ada") == 1


def test_a_file_that_holds_a_token_of_another_journal_gets_a_valid_one(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("stw_of_a_journal_that_is_gone\n")

    assert token("create", "ada", "--init", "--output", str(file)).exit_code == 0
    assert file.read_text() != "stw_of_a_journal_that_is_gone\n"
