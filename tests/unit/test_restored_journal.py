# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
"""A journal restored from a backup undoes nothing that it does not know of."""

from datetime import timedelta
from pathlib import Path

from steward.journal.backup import back_up
from steward.journal.schema import EPOCH, polls
from steward.journal.store import Journal
from steward.ports import Hint
from tests.fakes import FixedClock
from tests.unit.journal_support import events_in, open_at, rows_of
from tests.unit.poller_support import (
    FRAUD,
    WatchedRegistry,
    hints,
    journal,
    journal_begins_now,
    journal_url,
    make_poller,
    migrated_journal_file,
    registry,
)


def test_what_happened_since_the_copy_is_late_and_wakes_nobody(
    registry: WatchedRegistry, journal: Journal, clock: FixedClock, tmp_path: Path
) -> None:
    registry.create_version("fraud")
    make_poller(journal, registry).poll_once()
    back_up(Path(str(journal.engine.url.database)), tmp_path / "copy.db")
    clock.advance(60)
    registry.create_version("fraud")  # promoted and rolled back since, as an operator wished
    registry.set_alias(FRAUD, "previous_champion", "2")
    registry.set_stage(FRAUD, "2", "Archived", archive_existing=False)
    restored, hinted = open_at(f"sqlite:///{tmp_path / 'copy.db'}", clock), list[Hint]()

    result = make_poller(restored, registry, hint=hinted.extend).poll_once()

    assert result.is_baseline
    assert hinted == []
    late = {event.type for event in events_in(restored) if event.data.get("late")}
    assert late == {
        "model_version.created",
        "model_version.transitioned_stage",
        "model_version_alias.created",
    }
    restored.close()


def test_the_journal_that_was_copied_goes_on_as_before(
    registry: WatchedRegistry, journal: Journal, tmp_path: Path
) -> None:
    make_poller(journal, registry).poll_once()

    back_up(Path(str(journal.engine.url.database)), tmp_path / "copy.db")

    (row,) = rows_of(journal, polls)
    assert row.completed_at > EPOCH + timedelta(days=1)
