"""A replica registers, beats, and follows the desired state in the receiver's answer."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from serving.heartbeat import Heartbeat, Identity
from serving.reload import Order, Reloader
from serving.telemetry import Telemetry
from steward.events import ModelRef
from steward.signing import verify_request
from tests.unit.serving_fakes import FakeLoader, FakeReceiver

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
IDENTITY = Identity("churn/1", ModelRef("churn"), "http://here:1", "boot-1", STARTED)


class Beating:
    """One replica with its heartbeat running, and the world around it."""

    def __init__(self) -> None:
        self.loader = FakeLoader()
        self.receiver = FakeReceiver()
        self.secret: bytes | None = None

    def play(self, scenario: Callable[["Beating"], Awaitable[None]]) -> None:
        asyncio.run(self._run(scenario))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  # a poll with a deadline
                await asyncio.sleep(0.001)

    def served(self) -> tuple[str | None, int]:
        table = self.reloader.table
        return (table.champion.version if table.champion else None, table.generation)

    async def _run(self, scenario: Callable[["Beating"], Awaitable[None]]) -> None:
        self.reloader = Reloader(self.loader, Telemetry("churn", lambda: 0))
        self.heartbeat = Heartbeat(
            IDENTITY,
            self.reloader,
            receiver_url="http://receiver:8800",
            secret=self.secret,
            transport=self.receiver.transport(),
        )
        beats = asyncio.create_task(self.heartbeat.run())
        try:
            await scenario(self)
        finally:
            beats.cancel()
            with suppress(asyncio.CancelledError):
                await beats
            await self.heartbeat.close()
            self.reloader.close()


@pytest.fixture
def replica() -> Beating:
    return Beating()


def desired(version: str | None, generation: int) -> dict[str, object]:
    return {"model": "churn", "version": version, "generation": generation}


def test_the_first_beat_registers_and_its_answer_is_served(replica: Beating) -> None:
    replica.receiver.desired = desired("7", 3)

    async def scenario(replica: Beating) -> None:
        await replica.until(lambda: replica.served() == ("7", 3))
        await replica.until(lambda: replica.receiver.beats[-1]["version"] == "7")

    replica.play(scenario)

    first, last = replica.receiver.beats[0], replica.receiver.beats[-1]
    assert replica.receiver.requests[0].url.raw_path == b"/api/v1/replicas/churn%2F1"
    assert replica.receiver.requests[0].method == "PUT"
    assert first == {
        "model": "churn",
        "registry": "default",
        "workspace": "",
        "url": "http://here:1",
        "version": None,
        "generation": 0,
        "state": "empty",
        "boot_id": "boot-1",
        "started_at": "2026-01-01T00:00:00+00:00",
        "last_error": None,
    }
    assert (last["version"], last["generation"], last["state"]) == ("7", 3, "ready")


def test_a_beat_is_signed_with_the_first_secret(replica: Beating) -> None:
    replica.secret = b"shared"

    async def scenario(replica: Beating) -> None:
        await replica.until(lambda: bool(replica.receiver.requests))

    replica.play(scenario)

    request = replica.receiver.requests[0]
    path = "/api/v1/replicas/churn%2F1"
    verify_request([b"shared"], request.headers, request.content, method="PUT", path=path)


@pytest.mark.parametrize("is_away", [True, False])
def test_without_a_desired_state_the_registry_s_champion_is_served(
    replica: Beating, is_away: bool
) -> None:
    replica.receiver.is_away = is_away
    replica.loader.registry_champion = "4"

    async def scenario(replica: Beating) -> None:
        await replica.until(lambda: replica.served() == ("4", 0))

    replica.play(scenario)


def test_with_nobody_to_ask_the_last_known_good_is_served(replica: Beating) -> None:
    replica.receiver.is_away = replica.loader.registry_is_away = True
    replica.loader.cached = "3"

    async def scenario(replica: Beating) -> None:
        await replica.until(lambda: replica.served() == ("3", 0))

    replica.play(scenario)


def test_a_champion_that_does_not_load_gives_way_to_the_last_known_good(replica: Beating) -> None:
    replica.loader.registry_champion = "4"
    replica.loader.broken.add("4")
    replica.loader.cached = "3"

    async def scenario(replica: Beating) -> None:
        await replica.until(lambda: replica.served() == ("3", 0))

    replica.play(scenario)

    assert replica.loader.loads == ["4"]


def test_a_registry_without_production_leaves_the_replica_empty(replica: Beating) -> None:
    replica.loader.cached = "3"

    async def scenario(replica: Beating) -> None:
        await replica.until(lambda: bool(replica.receiver.beats))
        await replica.heartbeat._follow(None)

    replica.play(scenario)

    assert replica.served() == (None, 0)


def test_a_lost_push_costs_one_heartbeat(replica: Beating) -> None:
    replica.receiver.desired = desired("1", 1)

    async def scenario(replica: Beating) -> None:
        await replica.until(lambda: replica.served() == ("1", 1))
        replica.receiver.desired = desired("2", 2)
        replica.reloader.changed.set()  # instead of five seconds
        await replica.until(lambda: replica.served() == ("2", 2))

    replica.play(scenario)


def test_a_lower_desired_generation_is_reported_against_and_not_followed(replica: Beating) -> None:
    async def scenario(replica: Beating) -> None:
        await replica.reloader.reload(Order("9", 9))
        replica.receiver.desired = desired("2", 2)
        beats = len(replica.receiver.beats)
        replica.reloader.changed.set()
        await replica.until(lambda: len(replica.receiver.beats) > beats)

    replica.play(scenario)

    assert replica.served() == ("9", 9)
    assert replica.receiver.beats[-1]["generation"] == 9


def test_a_desired_version_that_does_not_load_is_reported_and_not_hammered(
    replica: Beating,
) -> None:
    replica.loader.registry_champion = "1"
    replica.loader.broken.add("2")
    replica.receiver.desired = desired("2", 2)

    async def scenario(replica: Beating) -> None:
        await replica.until(lambda: replica.served() == ("1", 0))
        for _ in range(5):
            beats = len(replica.receiver.beats)
            replica.reloader.changed.set()
            await replica.until(lambda seen=beats: len(replica.receiver.beats) > seen)  # type: ignore[misc]

    replica.play(scenario)

    assert replica.loader.loads.count("2") == 1


def test_a_failed_load_is_in_the_next_beat(replica: Beating) -> None:
    replica.loader.broken.add("2")
    replica.receiver.desired = desired("2", 2)

    async def scenario(replica: Beating) -> None:
        await replica.until(
            lambda: (
                replica.receiver.beats[-1:] != []
                and replica.receiver.beats[-1]["last_error"] == "version 2 does not load"
            )
        )

    replica.play(scenario)


def test_another_model_s_desired_state_is_not_ours(replica: Beating) -> None:
    replica.receiver.desired = {"model": "fraud", "version": "1", "generation": 99}

    async def scenario(replica: Beating) -> None:
        await replica.until(lambda: bool(replica.receiver.beats))
        await replica.heartbeat._follow(None)

    replica.play(scenario)

    assert replica.served() == (None, 0)


def test_leaving_is_the_last_word(replica: Beating) -> None:
    async def scenario(replica: Beating) -> None:
        await replica.until(lambda: bool(replica.receiver.beats))
        await replica.heartbeat.leave()
        await replica.heartbeat.leave()

    replica.play(scenario)

    assert [beat["state"] for beat in replica.receiver.beats].count("stopping") == 1
    assert replica.receiver.beats[-1]["state"] == "stopping"


def test_a_receiver_that_is_away_keeps_nothing_from_being_served(replica: Beating) -> None:
    replica.receiver.desired = desired("1", 1)

    async def scenario(replica: Beating) -> None:
        await replica.until(lambda: replica.served() == ("1", 1))
        replica.receiver.is_away = True
        beats = len(replica.receiver.beats)
        await replica.reloader.reload(Order("2", 2))
        await replica.until(lambda: len(replica.receiver.beats) > beats + 1)  # it goes on trying
        assert replica.served() == ("2", 2)

    replica.play(scenario)
