"""Opening the journal's database, and what its errors become."""

import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import InterfaceError

from steward.errors import ConfigurationError, JournalUnavailableError
from steward.journal.migrate import upgrade
from steward.journal.store import Journal, open_engine
from tests.unit.journal_support import ROUTING, open_at


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.db"


def test_a_data_directory_that_we_make_is_ours_alone(file: Path) -> None:
    open_engine(f"sqlite:///{file}").dispose()

    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_data_directory_that_was_there_keeps_its_mode(file: Path) -> None:
    file.parent.mkdir(mode=0o750)

    open_engine(f"sqlite:///{file}").dispose()

    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o750


@pytest.mark.parametrize("access", ["read", "write"])
def test_a_connection_that_broke_means_an_unavailable_journal(file: Path, access: str) -> None:
    journal = Journal(open_engine(f"sqlite:///{file}"), ROUTING)
    broken = InterfaceError("SELECT 1", {}, Exception("gone"), connection_invalidated=True)

    with pytest.raises(JournalUnavailableError, match="gone"), getattr(journal, access)():
        raise broken
    journal.close()


@pytest.mark.parametrize("access", ["read", "write"])
def test_any_other_error_of_the_driver_stays_what_it_is(file: Path, access: str) -> None:
    journal = Journal(open_engine(f"sqlite:///{file}"), ROUTING)

    with pytest.raises(InterfaceError), getattr(journal, access)():
        raise InterfaceError("SELECT 1", {}, Exception("a mistake of ours"))
    journal.close()


@pytest.mark.parametrize("url", ["mysql://host/db", "oracle://host/db"])
def test_another_kind_of_database_is_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected sqlite"):
        open_engine(url)


def test_a_journal_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    file = tmp_path / "steward.db"
    journal = open_at(f"sqlite:///{file}")
    file.mkdir()  # as if the disk went away once the process runs

    with pytest.raises(JournalUnavailableError, match="cannot be opened"):
        upgrade(journal)
    assert not journal.is_writable()
    journal.close()


def test_a_new_file_that_another_process_is_at_is_waited_for(file: Path) -> None:
    journal = open_at(f"sqlite:///{file}")
    with closing(sqlite3.connect(file, check_same_thread=False)) as another:
        another.execute("BEGIN IMMEDIATE")  # readers may come; SQLite lets no writer wait there
        threading.Timer(0.1, another.rollback).start()

        upgrade(journal)

    assert journal.is_writable()
    journal.close()
