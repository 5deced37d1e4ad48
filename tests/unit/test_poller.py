"""What a poll finds: every kind of change, told with before and after."""

from collections.abc import Callable
from typing import Any

import pytest

from steward.events import ModelRef
from steward.journal.deliveries import Delivery, News
from steward.journal.store import Journal
from steward.ports import Hint
from tests.fakes import FixedClock
from tests.unit.journal_support import delivered, events_in, model_ids
from tests.unit.poller_support import (
    FRAUD,
    WatchedRegistry,
    hints,
    journal,
    journal_begins_now,
    journal_url,
    migrated_journal_file,
    poller,
    registry,
    told,
)
from webhook_receiver.poller import Poller

__all__ = [
    "hints",
    "journal",
    "journal_begins_now",
    "journal_url",
    "migrated_journal_file",
    "poller",
    "registry",
]


class TestWhatAPollFinds:
    @pytest.fixture(autouse=True)
    def _polled_once(
        self, registry: WatchedRegistry, poller: Poller, clock: FixedClock, journal: Journal
    ) -> None:
        registry.create_version("fraud", tags={"team": "risk"}, description="the first")
        registry.create_version("fraud")
        registry.set_alias(FRAUD, "champion", "1")
        poller.poll_once()
        self.already = len(events_in(journal))
        clock.advance(10)

    def new(self, journal: Journal) -> list[tuple[str, str | None, Any, Any]]:
        return told(journal)[self.already :]

    def test_models_versions_and_aliases_that_are_new(self, journal: Journal) -> None:
        assert told(journal) == [
            ("registered_model.created", None, None, True),
            ("model_version_alias.created", "1", None, "1"),
            ("model_version.created", "1", None, True),
            ("model_version.created", "2", None, True),
        ]
        created = events_in(journal, "model_version.created")[0]
        assert created.data["tags"] == {"team": "risk"}
        assert created.data["run_id"] == "run-fraud-1"
        assert created.seen_by == "poll"

    def test_nothing_when_nothing_changed(self, journal: Journal, poller: Poller) -> None:
        poller.poll_once()

        assert self.new(journal) == []

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (
                lambda r: r.set_stage(FRAUD, "2", "Production", archive_existing=False),
                ("model_version.transitioned_stage", "2", "None", "Production"),
            ),
            (
                lambda r: r.set_alias(FRAUD, "champion", "2"),
                ("model_version_alias.created", "2", "1", "2"),
            ),
            (
                lambda r: r.delete_alias(FRAUD, "champion"),
                ("model_version_alias.deleted", "1", "1", None),
            ),
            (
                lambda r: r.set_version_tag(FRAUD, "2", "validated", "true"),
                ("model_version_tag.set", "2", None, "true"),
            ),
            (
                lambda r: r.delete_version_tag(FRAUD, "1", "team"),
                ("model_version_tag.deleted", "1", "risk", None),
            ),
            (
                lambda r: r.describe(FRAUD, "1", "better"),
                ("model_version.updated", "1", "the first", "better"),
            ),
            (
                lambda r: r.delete_version(FRAUD, "2"),
                ("model_version.deleted", "2", True, None),
            ),
            (
                lambda r: r.delete_model(FRAUD),
                ("registered_model.deleted", None, True, None),
            ),
            (
                lambda r: r.rename_model(FRAUD, "fraud-2"),
                ("registered_model.renamed", None, "fraud", "fraud-2"),
            ),
        ],
    )
    def test_each_kind_of_change_with_before_and_after(
        self,
        change: Callable[[WatchedRegistry], None],
        expected: tuple[str, str | None, Any, Any],
        registry: WatchedRegistry,
        poller: Poller,
        journal: Journal,
    ) -> None:
        change(registry)

        poller.poll_once()
        poller.poll_once()

        assert self.new(journal) == [expected]

    def test_a_deleted_version_takes_its_alias_along(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal
    ) -> None:
        registry.delete_version(FRAUD, "1")

        poller.poll_once()

        assert self.new(journal) == [
            ("model_version_alias.deleted", "1", "1", None),
            ("model_version.deleted", "1", True, None),
        ]

    def test_a_model_that_was_deleted_and_created_again(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal
    ) -> None:
        registry.delete_model(FRAUD)
        registry.create_version("fraud", description="again")

        poller.poll_once()
        poller.poll_once()

        assert self.new(journal) == [
            ("registered_model.deleted", None, True, None),
            ("registered_model.created", None, None, True),
            ("model_version.created", "1", None, True),
        ]

    def test_a_rename_carries_what_is_known(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal
    ) -> None:
        renamed = registry.rename_model(FRAUD, "renamed")
        registry.set_alias(renamed, "champion", "2")

        poller.poll_once()

        assert self.new(journal) == [
            ("registered_model.renamed", None, "fraud", "renamed"),
            ("model_version_alias.created", "2", "1", "2"),
        ]

    def test_a_rename_that_a_webhook_was_faster_than(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal, clock: FixedClock
    ) -> None:
        renamed = registry.rename_model(FRAUD, "renamed")
        registry.create_version("renamed")
        news = News("model_version.created", "mlflow/default", renamed, "3", "3", "exists", True)
        delivered(journal, Delivery("mlflow", "d", b"{}", clock.now(), news))

        poller.poll_once()
        poller.poll_once()

        assert self.new(journal) == [
            ("model_version.created", "3", None, True),
            ("registered_model.renamed", None, "fraud", "renamed"),
        ]
        assert len(model_ids(journal)) == 1

    def test_a_name_that_a_rename_freed_and_a_new_model_took(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal, clock: FixedClock
    ) -> None:
        registry.rename_model(FRAUD, "old-fraud")
        clock.advance(1)
        registry.create_version("fraud")

        poller.poll_once()
        poller.poll_once()

        assert self.new(journal) == [
            ("registered_model.renamed", None, "fraud", "old-fraud"),
            ("registered_model.created", None, None, True),
            ("model_version.created", "1", None, True),
        ]

    def test_renames_in_a_row(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal, clock: FixedClock
    ) -> None:
        registry.create_model("challenger")
        poller.poll_once()
        self.already = len(events_in(journal))
        clock.advance(10)
        registry.rename_model(FRAUD, "retired")
        clock.advance(1)
        registry.rename_model(ModelRef("challenger"), "fraud")

        poller.poll_once()
        poller.poll_once()

        assert self.new(journal) == [
            ("registered_model.renamed", None, "fraud", "retired"),
            ("registered_model.renamed", None, "challenger", "fraud"),
        ]

    def test_hints_for_what_it_recorded(
        self, registry: WatchedRegistry, poller: Poller, hints: list[Hint]
    ) -> None:
        hints.clear()
        registry.create_version("fraud")

        poller.poll_once()

        assert [hint.handler for hint in hints] == ["validate"]
