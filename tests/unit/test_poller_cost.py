"""What a poll costs, in requests and transactions, and how it goes on after a restart."""

from steward.events import ModelRef
from steward.journal import polls
from steward.journal.store import Journal
from tests.fakes import FixedClock
from tests.unit.journal_support import events_in
from tests.unit.poller_support import (
    WatchedRegistry,
    hints,
    journal,
    journal_begins_now,
    journal_url,
    make_poller,
    many_models,
    migrated_journal_file,
    poller,
    registry,
    transactions,
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


class TestCost:
    def test_an_idle_poll_of_a_small_registry_is_one_page_and_the_versions_of_each_model(
        self, registry: WatchedRegistry, poller: Poller
    ) -> None:
        for name in ("a", "b", "c"):
            registry.create_version(name)
        poller.poll_once()
        registry.requests.clear()

        poller.poll_once()

        assert registry.requests == {"models": 1, "versions": 3}

    def test_an_idle_poll_of_a_large_registry_visits_a_slice(
        self, registry: WatchedRegistry, journal: Journal, clock: FixedClock
    ) -> None:
        many_models(registry, clock)
        poller = make_poller(journal, registry)
        poller.poll_once()
        registry.requests.clear()
        counted = []
        for _ in range(9):
            poller.poll_once()
            counted.append((registry.requests["models"], registry.requests["versions"]))
            registry.requests.clear()

        begin, slices, last = (2, 0), (1, 20), (1, 10)
        assert counted == [*[slices] * 7, last, begin]
        assert polls.state_of(journal, "default").swept_at == clock.now()

    def test_a_model_that_changed_is_found_at_once_however_many_there_are(
        self, registry: WatchedRegistry, journal: Journal, clock: FixedClock
    ) -> None:
        many_models(registry, clock)
        poller = make_poller(journal, registry, smallest_slice=1)
        poller.poll_once()
        poller.poll_once()
        registry.create_version("m-140")
        registry.requests.clear()

        poller.poll_once()

        assert events_in(journal)[-1].model == ModelRef("m-140")
        assert events_in(journal)[-1].version == "2"
        assert registry.requests["versions"] <= 6

    def test_a_tag_of_any_model_is_found_within_a_round(
        self, registry: WatchedRegistry, journal: Journal, clock: FixedClock
    ) -> None:
        many_models(registry, clock)
        poller = make_poller(journal, registry)
        poller.poll_once()
        registry.set_version_tag(ModelRef("m-149"), "1", "k", "v")
        registry.delete_model(ModelRef("m-000"))

        for _ in range(9):
            poller.poll_once()

        assert [event.type for event in events_in(journal)[-2:]] == [
            "registered_model.deleted",
            "model_version_tag.set",
        ]

    def test_an_idle_poll_writes_where_it_stands_and_nothing_else(
        self, registry: WatchedRegistry, poller: Poller, journal: Journal
    ) -> None:
        registry.create_version("fraud")
        poller.poll_once()
        poller.poll_once()
        before = transactions()

        poller.poll_once()

        assert transactions() == before + 1

    def test_it_goes_on_after_a_restart_where_it_stopped(
        self, registry: WatchedRegistry, journal: Journal, clock: FixedClock
    ) -> None:
        many_models(registry, clock)
        poller = make_poller(journal, registry)
        for _ in range(3):
            poller.poll_once()
        registry.asked.clear()

        make_poller(journal, registry).poll_once()

        assert registry.asked == [f"m-{number:03}" for number in range(40, 60)]
