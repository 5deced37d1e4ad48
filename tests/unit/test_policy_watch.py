"""A policy file that changes while Steward runs is put in force, whatever was away meanwhile."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from steward.cli.polling import watch_policy
from steward.journal import notices, policies, vitals
from steward.journal.store import Journal
from steward.settings import Settings
from tests.servers import eventually
from tests.unit.journal_support import FlakyJournal, flaky, journal_url, migrated_journal_file

__all__ = ["flaky", "journal_url", "migrated_journal_file"]
POLICY = "version: 1\npolicies:\n  - {name: %s, match: {models: ['*']}, mode: observe}\n"


@pytest.fixture
def file(tmp_path: Path, flaky: FlakyJournal) -> Iterator[Path]:
    """A policy file that is watched."""
    path, stop = tmp_path / "steward.yaml", threading.Event()
    path.write_text(POLICY % "first")
    watch = threading.Thread(
        target=watch_policy,
        args=(path, Settings(policy_file=path, data_dir=tmp_path), flaky, stop),
        kwargs={"every_seconds": 0.01},
    )
    watch.start()
    yield path
    stop.set()
    watch.join()


def in_force(journal: Journal) -> list[str]:
    with journal.read() as connection:
        return [policy.name for policy in policies.active(connection).policies]


def test_a_change_is_not_lost_when_the_journal_is_away(file: Path, flaky: FlakyJournal) -> None:
    eventually(lambda: in_force(flaky) == ["first"], 5)

    flaky.failures = 3
    file.write_text(POLICY % "second-one")

    eventually(lambda: in_force(flaky) == ["second-one"], 5)


def test_a_refused_file_is_noted_until_a_good_one_is_in_force(
    file: Path, flaky: FlakyJournal
) -> None:
    eventually(lambda: in_force(flaky) == ["first"], 5)

    file.write_text("version: 1\npolicies: nonsense\n")
    eventually(lambda: notices.POLICY in vitals.read(flaky).notices, 5)

    assert "steward.yaml" in vitals.read(flaky).notices[notices.POLICY]
    assert in_force(flaky) == ["first"]
    file.write_text(POLICY % "second")
    eventually(lambda: not vitals.read(flaky).notices, 5)
    assert in_force(flaky) == ["second"]
