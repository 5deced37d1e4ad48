"""What a poll takes as history, as late, and as late metrics."""

from datetime import timedelta

import pytest

from steward.events import EventType, ModelRef, NewEvent
from steward.journal import approvals, dispatches, readings
from steward.journal.store import Journal
from steward.ports import Done, Hint, Wait
from tests.fakes import FixedClock
from tests.unit.journal_support import claimed, events_in, rows_of
from tests.unit.poller_support import (
    FRAUD,
    WatchedRegistry,
    begin_now,
    hints,
    journal,
    journal_begins_now,
    journal_url,
    make_poller,
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


class TestHistory:
    def test_what_was_there_before_the_journal_makes_no_event(
        self, registry: WatchedRegistry, journal: Journal, clock: FixedClock
    ) -> None:
        registry.create_version("fraud", tags={"a": "b"})
        registry.set_stage(FRAUD, "1", "Production", archive_existing=False)
        registry.set_alias(FRAUD, "champion", "1")
        begin_now(journal, clock)
        poller = make_poller(journal, registry, champion_of=lambda _info, _versions: "1")

        result = poller.poll_once()
        poller.poll_once()

        assert result.is_baseline
        assert events_in(journal) == []
        look = readings.look(journal, FRAUD)
        assert look.value("", "champion") == "1"
        assert look.value("1", "stage") == "Production"

    def test_changes_of_history_are_news(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal, clock: FixedClock
    ) -> None:
        registry.create_version("fraud")
        begin_now(journal, clock)
        poller.poll_once()
        clock.advance(10)
        registry.set_stage(FRAUD, "1", "Production", archive_existing=False)
        registry.create_version("fraud")

        poller.poll_once()

        assert told(journal) == [
            ("model_version.transitioned_stage", "1", "None", "Production"),
            ("model_version.created", "2", None, True),
        ]

    def test_what_was_registered_before_the_first_poll_but_after_the_journal_is_news(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal, clock: FixedClock
    ) -> None:
        registry.create_version("fraud")
        begin_now(journal, clock)
        registry.create_version("fraud")

        poller.poll_once()

        assert told(journal) == [("model_version.created", "2", None, True)]

    def test_after_too_long_differences_are_late_and_wake_nobody(
        self,
        registry: WatchedRegistry,
        poller: Poller,
        journal: Journal,
        clock: FixedClock,
        hints: list[Hint],
    ) -> None:
        registry.create_version("fraud")
        poller.poll_once()
        hints.clear()
        clock.advance(86_401)
        registry.create_version("fraud")
        registry.set_alias(FRAUD, "champion", "2")
        registry.create_version("met-while-away")

        result = poller.poll_once()

        late = [event for event in events_in(journal) if event.data.get("late")]
        assert result.is_baseline
        assert [event.type for event in late] == [
            "model_version_alias.created",
            "model_version.created",
        ]
        assert hints == []
        assert ModelRef("met-while-away") not in {event.model for event in events_in(journal)}

    def test_after_a_while_it_catches_up_as_if_it_had_been_there(
        self,
        registry: WatchedRegistry,
        poller: Poller,
        journal: Journal,
        clock: FixedClock,
        hints: list[Hint],
    ) -> None:
        registry.create_version("fraud")
        poller.poll_once()
        hints.clear()
        clock.advance(3600)
        registry.create_version("fraud")

        result = poller.poll_once()

        assert not result.is_baseline
        assert [hint.handler for hint in hints] == ["validate"]


class TestLateMetrics:
    def waiting(self, journal: Journal, clock: FixedClock) -> str:
        """The dispatch of a validation that waits for its metric."""
        [row] = [
            row for row in rows_of(journal, dispatches.dispatches) if row.handler == "validate"
        ]
        wait = Wait(clock.now() + timedelta(hours=1), "waiting for test_auc")
        dispatches.record(journal, claimed(journal, row.id), wait)
        return str(row.id)

    def test_a_metric_that_came_wakes_the_validation_that_waits(
        self,
        registry: WatchedRegistry,
        poller: Poller,
        journal: Journal,
        clock: FixedClock,
        hints: list[Hint],
    ) -> None:
        version = registry.create_version("fraud")
        poller.poll_once()
        dispatch_id = self.waiting(journal, clock)
        poller.poll_once()
        hints.clear()
        registry.log_metrics(version, {"test_auc": 0.91})

        poller.poll_once()
        poller.poll_once()

        [logged] = events_in(journal, "model_version.metrics_logged")
        assert logged.version == "1"
        assert (logged.before, logged.after) == (None, {"run/test_auc": 0.91})
        assert dispatch_id in {hint.dispatch_id for hint in hints}

    def test_a_changed_value_is_news_and_a_nan_is_a_value(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal, clock: FixedClock
    ) -> None:
        version = registry.create_version("fraud", metrics={"auc": 0.5})
        poller.poll_once()
        self.waiting(journal, clock)
        poller.poll_once()
        registry.log_metrics(version, {"auc": None}, dataset="holdout")

        poller.poll_once()

        [_, logged] = events_in(journal, "model_version.metrics_logged")
        assert logged.before == {"run/auc": 0.5}
        assert logged.after == {"run/auc@holdout": None}

    def test_a_version_held_as_incomplete_is_asked_for_a_week(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal, clock: FixedClock
    ) -> None:
        registry.create_version("fraud")
        poller.poll_once()
        self.held(journal, "incomplete")
        asked = registry.requests["evidence"]

        poller.poll_once()
        clock.advance(8 * 86_400)
        poller.poll_once()

        assert registry.requests["evidence"] == asked + 1

    @pytest.mark.parametrize("word", [EventType.APPROVAL_REQUESTED, EventType.PROMOTION_REQUESTED])
    def test_a_person_s_request_does_not_end_the_look_for_what_is_missing(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal, word: EventType
    ) -> None:
        registry.create_version("fraud")
        poller.poll_once()
        self.held(journal, "incomplete")
        approvals.record(journal, word, FRAUD, "1", actor="ada", data={"reason": "please"})
        asked = registry.requests["evidence"]

        poller.poll_once()

        assert registry.requests["evidence"] == asked + 1

    def test_no_other_version_is_asked_for_its_metrics(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal
    ) -> None:
        registry.create_version("fraud")
        poller.poll_once()
        self.held(journal, "below_margin")

        poller.poll_once()

        assert registry.requests["evidence"] == 0

    def held(self, journal: Journal, code: str) -> None:
        [row] = [
            row for row in rows_of(journal, dispatches.dispatches) if row.handler == "validate"
        ]
        held = NewEvent("promotion.held", data={"code": code})
        dispatches.record(journal, claimed(journal, row.id), Done(events=(held,)))
