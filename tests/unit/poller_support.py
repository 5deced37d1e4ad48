"""A poller on a registry in memory and a journal of its own, for the tests of the polling shim."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import update

from steward.events import ModelRef
from steward.journal.deliveries import Delivery, News
from steward.journal.schema import installation
from steward.journal.store import Journal
from steward.ports import Hint, ModelPage, VersionInfo
from steward.settings import Settings
from tests.fakes import FakeRegistry, FixedClock
from tests.unit.journal_support import (
    delivered,
    events_in,
    journal,
    journal_url,
    migrated_journal_file,
)
from webhook_receiver.poller import Poller

__all__ = ["hints", "journal", "journal_url", "migrated_journal_file", "poller", "registry"]
FRAUD = ModelRef("fraud")


class WatchedRegistry(FakeRegistry):
    """A registry whose answers a test may hold up: each is called before, or after, an answer."""

    def __init__(self, clock: FixedClock) -> None:
        super().__init__(clock)
        self.asked: list[str] = []
        """The models whose versions were asked for."""
        self.before_versions: Callable[[ModelRef], object] = lambda _model: None
        self.after_models: Callable[[], object] = lambda: None

    def versions(self, model: ModelRef) -> list[VersionInfo]:
        self.asked.append(model.name)
        self.before_versions(model)
        return super().versions(model)

    def models(self, *, page_token: str | None = None, max_results: int = 100) -> ModelPage:
        page = super().models(page_token=page_token, max_results=max_results)
        self.after_models()
        return page


@pytest.fixture
def registry(clock: FixedClock) -> WatchedRegistry:
    return WatchedRegistry(clock)


@pytest.fixture(autouse=True)
def journal_begins_now(journal: Journal, clock: FixedClock) -> None:
    begin_now(journal, clock)


@pytest.fixture
def hints() -> list[Hint]:
    return []


@pytest.fixture
def poller(journal: Journal, registry: WatchedRegistry, hints: list[Hint]) -> Poller:
    return make_poller(journal, registry, hint=hints.extend)


def make_poller(journal: Journal, registry: FakeRegistry, **more: Any) -> Poller:
    settings = Settings(poll_interval_seconds=10, _env_file=None)
    defaults = {"hint": lambda _: None, "holder": "poller@here", "settings": settings}
    return Poller(journal, registry, **(defaults | more))


def begin_now(journal: Journal, clock: FixedClock) -> None:
    """Let the journal begin, a second from now, and a minute pass."""
    clock.advance(1)
    with journal.write() as transaction:
        transaction.connection.execute(update(installation).values(created_at=clock.now()))
    clock.advance(60)


def many_models(registry: FakeRegistry, clock: FixedClock, count: int = 150) -> None:
    """Models of one version each, the last of them changed ten minutes ago."""
    for number in range(count):
        registry.create_version(f"m-{number:03}")
        clock.advance(1)
    clock.advance(600)


def told(journal: Journal, *types: str) -> list[tuple[str, str | None, Any, Any]]:
    """Every event in few words."""
    return [
        (event.type, event.version, event.before, event.after)
        for event in events_in(journal, *types)
    ]


def webhook(journal: Journal, type: str, version: str, facet: str, at: datetime) -> None:  # noqa: A002
    """Deliver that a version of fraud exists, or has an alias."""
    is_alias = facet.startswith("alias:")
    subject, value = ("", version) if is_alias else (version, True)
    news = News(type, "mlflow/default", FRAUD, version, subject, facet, value)
    delivered(journal, Delivery("mlflow", f"{type} {facet} {version} {at}", b"{}", at, news))


def transactions() -> float:
    """How many write transactions this process committed."""
    return REGISTRY.get_sample_value("steward_journal_transactions_total") or 0.0
