"""The rules of generations: whatever arrives in whatever order, the highest one is served."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.reload import Order, Reloader, StaleOrderError
from serving.telemetry import Telemetry
from steward.errors import PermanentError, StewardError, TransientError
from tests.unit.serving_fakes import FakeLoader

Scenario = Callable[[Reloader, FakeLoader], Awaitable[None]]


def play(scenario: Scenario) -> tuple[Reloader, FakeLoader]:
    async def run() -> tuple[Reloader, FakeLoader]:
        loader = FakeLoader()
        reloader = Reloader(loader, Telemetry("churn", lambda: 0))
        try:
            await scenario(reloader, loader)
        finally:
            reloader.close()
        return reloader, loader

    return asyncio.run(run())


async def loading_of(loader: FakeLoader, version: str) -> None:
    async with asyncio.timeout(10):
        while version not in loader.loads:  # noqa: ASYNC110  # a poll with a deadline
            await asyncio.sleep(0.001)


def served(reloader: Reloader) -> tuple[str | None, int]:
    table = reloader.table
    return (table.champion.version if table.champion else None, table.generation)


def test_a_higher_generation_is_loaded_and_served() -> None:
    async def scenario(reloader: Reloader, _loader: FakeLoader) -> None:
        assert await reloader.reload(Order("1", 1)) is None
        assert await reloader.reload(Order("2", 2)) == "1"

    reloader, _ = play(scenario)

    assert served(reloader) == ("2", 2)


def test_an_older_generation_is_refused_and_changes_nothing() -> None:
    async def scenario(reloader: Reloader, _loader: FakeLoader) -> None:
        await reloader.reload(Order("2", 5))
        with pytest.raises(StaleOrderError, match="4 is older than 5"):
            await reloader.reload(Order("1", 4))

    reloader, loader = play(scenario)

    assert served(reloader) == ("2", 5)
    assert loader.loads == ["2"]


def test_the_same_order_again_is_answered_the_same_and_loads_nothing() -> None:
    async def scenario(reloader: Reloader, _loader: FakeLoader) -> None:
        await reloader.reload(Order("1", 1))
        first = await reloader.reload(Order("2", 2))
        assert await reloader.reload(Order("2", 2)) == first == "1"

    _, loader = play(scenario)

    assert loader.loads == ["1", "2"]


def test_one_generation_never_names_two_versions() -> None:
    async def scenario(reloader: Reloader, _loader: FakeLoader) -> None:
        await reloader.reload(Order("1", 1))
        with pytest.raises(StaleOrderError, match="is version 1 here"):
            await reloader.reload(Order("2", 1))

    reloader, _ = play(scenario)

    assert served(reloader) == ("1", 1)


def test_a_rollback_lowers_the_version_and_raises_the_generation_without_loading() -> None:
    async def scenario(reloader: Reloader, _loader: FakeLoader) -> None:
        await reloader.reload(Order("1", 1))
        await reloader.reload(Order("2", 2))
        await reloader.reload(Order("1", 3))

    reloader, loader = play(scenario)

    assert served(reloader) == ("1", 3)
    assert loader.loads == ["1", "2"]


def test_a_prepared_version_is_served_without_loading_it_again() -> None:
    async def scenario(reloader: Reloader, _loader: FakeLoader) -> None:
        await reloader.reload(Order("1", 1))
        await reloader.prepare("2")
        assert served(reloader) == ("1", 1)
        await reloader.reload(Order("2", 2))

    reloader, loader = play(scenario)

    assert served(reloader) == ("2", 2)
    assert loader.loads == ["1", "2"]


def test_a_version_number_used_again_is_prepared_from_its_new_files() -> None:
    async def scenario(reloader: Reloader, loader: FakeLoader) -> None:
        await reloader.reload(Order("1", 1))
        loader.recreated.add("1")
        await reloader.prepare("1")
        await reloader.reload(Order("1", 2))

    reloader, _ = play(scenario)

    assert reloader.table.champion
    assert reloader.table.champion.key == "1-new"


@pytest.mark.parametrize(("cause", "error"), [("broken", PermanentError), ("away", TransientError)])
def test_a_version_that_does_not_load_leaves_what_is_served(
    cause: str, error: type[StewardError]
) -> None:
    async def scenario(reloader: Reloader, loader: FakeLoader) -> None:
        await reloader.reload(Order("1", 1))
        getattr(loader, cause).add("2")
        with pytest.raises(error):
            await reloader.reload(Order("2", 2))
        assert reloader.last_error
        await reloader.reload(Order("3", 2))  # the number was not used up

    reloader, _ = play(scenario)

    assert served(reloader) == ("3", 2)
    assert reloader.last_error is None


def test_a_newer_order_supersedes_one_that_is_still_loading() -> None:
    async def scenario(reloader: Reloader, loader: FakeLoader) -> None:
        loader.held_back["10"] = threading.Event()
        slow = asyncio.create_task(reloader.reload(Order("10", 10)))
        await loading_of(loader, "10")
        fast = asyncio.create_task(reloader.reload(Order("11", 11)))
        with pytest.raises(StaleOrderError):
            await reloader.reload(Order("9", 9))
        loader.held_back["10"].set()
        await fast
        with pytest.raises(StaleOrderError):
            await slow

    reloader, loader = play(scenario)

    assert served(reloader) == ("11", 11)
    assert "9" not in loader.loads


def test_orders_that_were_overtaken_while_waiting_are_never_loaded() -> None:
    async def scenario(reloader: Reloader, loader: FakeLoader) -> None:
        loader.held_back["1"] = threading.Event()
        first = asyncio.create_task(reloader.reload(Order("1", 1)))
        await loading_of(loader, "1")
        rest = [asyncio.create_task(reloader.reload(Order(str(n), n))) for n in range(2, 9)]
        await asyncio.sleep(0)
        loader.held_back["1"].set()
        await asyncio.gather(first, *rest, return_exceptions=True)

    reloader, loader = play(scenario)

    assert served(reloader) == ("8", 8)
    assert loader.loads == ["1", "8"]


def test_a_rollback_does_not_wait_for_a_load() -> None:
    async def scenario(reloader: Reloader, loader: FakeLoader) -> None:
        await reloader.reload(Order("1", 1))
        await reloader.reload(Order("2", 2))
        loader.held_back["3"] = threading.Event()
        preparing = asyncio.create_task(reloader.prepare("3"))
        await loading_of(loader, "3")
        await reloader.reload(Order("1", 3))
        assert not preparing.done()
        loader.held_back["3"].set()
        await preparing

    reloader, _ = play(scenario)

    assert served(reloader) == ("1", 3)


def test_a_replica_is_ready_while_it_loads_another_version() -> None:
    async def scenario(reloader: Reloader, loader: FakeLoader) -> None:
        assert reloader.state == "empty"
        loader.held_back = {"1": threading.Event(), "2": threading.Event()}
        for version in ("1", "2"):
            task = asyncio.create_task(reloader.reload(Order(version, int(version))))
            await loading_of(loader, version)
            assert reloader.loading == version
            assert reloader.state == ("loading" if version == "1" else "ready")
            loader.held_back[version].set()
            await task

    play(scenario)


def test_the_start_yields_to_an_order_that_came_meanwhile() -> None:
    async def scenario(reloader: Reloader, loader: FakeLoader) -> None:
        loader.registry_champion = "1"
        loader.held_back["1"] = threading.Event()
        start = asyncio.create_task(reloader.start_with_champion())
        await loading_of(loader, "1")
        order = asyncio.create_task(reloader.reload(Order("2", 1)))
        await asyncio.sleep(0)
        loader.held_back["1"].set()
        await asyncio.gather(start, order)

    reloader, _ = play(scenario)

    assert served(reloader) == ("2", 1)
    assert reloader.table.previous is None


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=20),
    st.sets(st.integers(1, 12), max_size=4),
    st.integers(0, 3),
)
def test_any_order_and_duplication_of_reloads_ends_at_the_highest_generation(
    generations: list[int], prepared: set[int], pace: int
) -> None:
    async def scenario(reloader: Reloader, _loader: FakeLoader) -> None:
        highest = 0

        async def tell(generation: int) -> None:
            nonlocal highest
            for _ in range(generation * pace % 5):
                await asyncio.sleep(0)
            if generation in prepared:
                await reloader.prepare(f"v{generation}")
            with suppress(StaleOrderError):
                await reloader.reload(Order(f"v{generation}", generation))
                assert reloader.table.generation >= max(highest, generation)  # never back
                highest = reloader.table.generation

        await asyncio.gather(*map(tell, generations))

    reloader, _ = play(scenario)

    assert served(reloader) == (f"v{max(generations)}", max(generations))
