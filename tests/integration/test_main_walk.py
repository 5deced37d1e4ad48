"""The main walk on a real registry and a real journal: what happens, and what it costs."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from steward.events import EventType, ModelRef
from steward.journal import deliveries, queries, verdicts
from steward.journal.opening import open_journal
from steward.journal.store import TRANSACTIONS, Journal
from steward.ports import Hint, Services, Skipped
from steward.settings import Settings
from steward.wiring import ServicesFactory, activate_policy
from tests.fakes import FakeFleet
from tests.models import client_of, register_version
from workers.running import Runner
from workers.tasks import ROUTING, handler_named

MODEL = ModelRef("walk")


class Walk:
    """Runs dispatches as their hints come, one after the other, and counts what they cost."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self.journal = journal
        self.fleet = FakeFleet()
        self.hints: list[Hint] = []
        self.order: list[str] = []
        self._factory = ServicesFactory(settings, journal)
        self.registry = self._factory._registry
        self.runner = Runner(
            journal,
            owner="walk",
            handlers=handler_named,
            services_for=self._services,
            hint=self.hints.extend,
            lease_seconds=60,
        )

    def _services(self, claimed: object) -> Services | Skipped:
        services = self._factory(claimed)  # type: ignore[arg-type]
        if isinstance(services, Skipped):
            return services
        return replace(services, fleet=self.fleet)

    def deliver(self, version: str) -> None:
        news = deliveries.News(
            EventType.VERSION_CREATED,
            "mlflow/default",
            MODEL,
            version,
            subject=version,
            facet="exists",
            value=True,
            data={"name": MODEL.name, "version": version},
        )
        delivery = deliveries.Delivery("mlflow", f"d{version}", b"{}", datetime.now(UTC), news)
        self.hints += deliveries.record(self.journal, [delivery])[1]

    def run(self, *, first: tuple[str, ...] = ("validate", "promote", "reload")) -> None:
        """Run what is hinted until nothing is; the main path before what hangs off it."""
        while self.hints:
            self.hints.sort(key=lambda hint: hint.handler not in first)
            hint = self.hints.pop(0)
            self.order.append(hint.handler)
            self.runner.run(hint.dispatch_id)

    def verdict(self, version: str) -> str:
        with self.journal.read() as connection:
            found = verdicts.standing_verdict(connection, MODEL, version)
        return found.verdict if found else "none"


@pytest.fixture
def walk(mlflow_server: str, tmp_path: Path) -> Iterator[Walk]:
    settings = Settings(
        MLFLOW_TRACKING_URI=mlflow_server, data_dir=tmp_path, built_in_policy=True, host="127.0.0.1"
    )
    journal = open_journal(settings, ROUTING)
    activate_policy(settings, journal)
    walk = Walk(settings, journal)
    yield walk
    walk.runner.stop()
    journal.close()
    client = client_of(mlflow_server)
    client.delete_registered_model(MODEL.name)


def test_a_better_version_becomes_production_and_the_fleet_serves_it(
    walk: Walk, mlflow_server: str
) -> None:
    replica = walk.fleet.add(MODEL)
    for version, auc in (("1", 0.90), ("2", 0.91), ("3", 0.80), ("4", 0.92)):
        assert register_version(mlflow_server, MODEL.name, auc=auc) == version
        walk.deliver(version)
        walk.run()

    verdicts = [walk.verdict(version) for version in "1234"]

    assert verdicts == ["promoted", "held", "rejected", "promoted"]
    assert walk.fleet.serving()[replica.id] == "4"
    model = walk.registry.model(MODEL)
    assert model.aliases == {"champion": "4", "previous_champion": "1"}
    stages = {info.version: info.stage for info in walk.registry.versions(MODEL)}
    assert stages == {"1": "Archived", "2": "None", "3": "None", "4": "Production"}
    tags = walk.registry.version(MODEL, "2").tags
    assert tags["steward.verdict"] == "held"
    assert "0.02" in tags["steward.reason"]


def test_the_main_walk_keeps_its_price(walk: Walk, mlflow_server: str) -> None:
    walk.fleet.add(MODEL)
    register_version(mlflow_server, MODEL.name, auc=0.90)
    walk.deliver("1")
    walk.run()
    register_version(mlflow_server, MODEL.name, auc=0.95)
    transactions = TRANSACTIONS._value.get()
    requests = sum(walk.registry.requests.values())
    walk.order.clear()
    reload = walk.fleet.reload
    costs: list[tuple[float, int]] = []

    def count_then_reload(*args: object, **kwargs: object) -> object:
        costs.append(
            (
                TRANSACTIONS._value.get() - transactions,
                sum(walk.registry.requests.values()) - requests,
            )
        )
        return reload(*args, **kwargs)  # type: ignore[arg-type]

    walk.fleet.reload = count_then_reload  # type: ignore[method-assign,assignment]
    walk.deliver("2")
    walk.run()

    assert walk.order[:3] == ["validate", "promote", "reload"]
    written, asked = costs[0]
    assert written == 8
    assert asked <= 16
    with walk.journal.read() as connection:
        found = queries.events_of(connection, MODEL, version="2")
    types = [event.type for event in found]
    assert types.index(EventType.VALIDATED) < types.index(EventType.PROMOTED)
    assert EventType.CHAMPION_CHANGED in types
