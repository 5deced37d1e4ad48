"""The poller beside webhooks, beside other pollers, and before a registry that is away."""

import threading

import pytest

from steward.errors import PermanentError, TransientError
from steward.events import ModelRef
from steward.journal import polls
from steward.journal.store import Journal
from tests.fakes import FixedClock
from tests.unit.journal_support import events_in
from tests.unit.poller_support import (
    FRAUD,
    WatchedRegistry,
    hints,
    journal,
    journal_begins_now,
    journal_url,
    make_poller,
    migrated_journal_file,
    poller,
    registry,
    told,
    webhook,
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


class TestBesideWebhooks:
    def test_one_change_is_one_event_whoever_was_first(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal, clock: FixedClock
    ) -> None:
        registry.create_version("fraud")
        webhook(journal, "model_version.created", "1", "exists", clock.now())
        clock.advance(1)
        poller.poll_once()
        clock.advance(1)
        registry.set_alias(FRAUD, "champion", "1")
        poller.poll_once()
        webhook(journal, "model_version_alias.created", "1", "alias:champion", clock.now())

        found = {event.type: event.seen_by for event in events_in(journal)}

        assert found == {
            "model_version.created": "both",
            "registered_model.created": "poll",
            "model_version_alias.created": "both",
        }

    def test_a_change_between_look_and_answer_is_left_for_the_next_look(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal, clock: FixedClock
    ) -> None:
        registry.create_version("fraud")
        registry.set_alias(FRAUD, "champion", "1")
        poller.poll_once()
        registry.create_version("fraud")

        def change_meanwhile() -> None:
            registry.after_models = lambda: None
            clock.advance(1)
            registry.set_alias(FRAUD, "champion", "2")
            webhook(journal, "model_version_alias.created", "2", "alias:champion", clock.now())

        registry.after_models = change_meanwhile
        poller.poll_once()
        poller.poll_once()

        moves = told(journal, "model_version_alias.created")
        assert [(before, after) for _, _, before, after in moves] == [(None, "1"), ("1", "2")]

    def test_it_needs_no_webhook_to_say_that_it_found_something_alone(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal
    ) -> None:
        registry.create_version("fraud")

        poller.poll_once()

        assert {event.seen_by for event in events_in(journal)} == {"poll"}


class TestOutages:
    def test_a_registry_that_is_away_is_retried_and_shown(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal
    ) -> None:
        registry.create_version("fraud")
        poller.poll_once()
        registry.create_version("fraud")
        registry.fail(TransientError("MLflow at :5000 cannot be reached"))

        failed = poller.poll_once()
        shown = polls.state_of(journal, "default")
        recovered = poller.poll_once()

        assert (failed.outcome, shown.last_error) == (
            "failed",
            "MLflow at :5000 cannot be reached",
        )
        assert recovered.outcome == "completed"
        assert polls.state_of(journal, "default").last_error is None
        assert events_in(journal)[-1].version == "2"

    def test_an_outage_is_logged_once(
        self,
        registry: WatchedRegistry,
        poller: Poller,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        registry.fail(TransientError("away"), times=3)

        for _ in range(4):
            poller.poll_once()

        output = capsys.readouterr().out
        assert output.count("registry_away") == 1
        assert output.count("registry_back") == 1

    def test_a_model_that_cannot_be_read_holds_up_no_other(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal
    ) -> None:
        registry.create_version("broken")
        registry.create_version("fraud")

        def refuse_one(model: ModelRef) -> None:
            if model.name == "broken":
                raise PermanentError("Invalid name.")

        registry.before_versions = refuse_one
        result = poller.poll_once()

        assert result.outcome == "completed"
        assert result.problem == "broken: Invalid name."
        assert {event.model for event in events_in(journal)} == {FRAUD}

    def test_a_poll_that_broke_off_loses_nothing(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal
    ) -> None:
        for name in ("a", "b", "c"):
            registry.create_version(name)

        def break_off(model: ModelRef) -> None:
            if model.name == "b":
                raise TransientError("away")

        registry.before_versions = break_off
        poller.poll_once()
        registry.before_versions = lambda _model: None

        poller.poll_once()

        assert len(events_in(journal, "model_version.created")) == 3


class TestSeveralPollers:
    def test_one_polls_and_the_others_stand_by(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal, clock: FixedClock
    ) -> None:
        other = make_poller(journal, registry, holder="poller@there")

        assert poller.poll_once().outcome == "completed"
        assert other.poll_once().outcome == "standby"

        clock.advance(31)
        assert other.poll_once().outcome == "completed"

    def test_whoever_stops_gives_the_lease_back_at_once(
        self, registry: WatchedRegistry, journal: Journal
    ) -> None:
        poller = make_poller(journal, registry)
        stop = threading.Event()
        registry.after_models = stop.set

        poller.run(stop)

        other = make_poller(journal, registry, holder="poller@there")
        assert other.poll_once().outcome == "completed"

    def test_a_stop_ends_a_long_poll_at_the_next_request(
        self, registry: WatchedRegistry, journal: Journal
    ) -> None:
        for number in range(50):
            registry.create_version(f"m-{number}")
        poller = make_poller(journal, registry)
        stop = threading.Event()
        registry.before_versions = lambda _model: stop.set()

        poller.run(stop)

        assert registry.requests["versions"] == 1
