from datetime import UTC, datetime

from serving.slot import Table
from tests.unit.serving_fakes import slot

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 1, 1, 13, tzinfo=UTC)


def test_a_swap_keeps_the_old_champion_as_previous() -> None:
    one, two = slot("1"), slot("2")

    table = Table().serving(one, 1, NOON).serving(two, 2, LATER)

    assert table == Table(champion=two, previous=one, generation=2, since=LATER)


def test_a_prepared_version_stops_being_prepared_when_it_is_served() -> None:
    one, two = slot("1"), slot("2")

    table = Table(champion=one, prepared=two).serving(two, 2, NOON)

    assert (table.champion, table.previous, table.prepared) == (two, one, None)


def test_serving_the_same_slot_again_raises_the_generation_and_nothing_else() -> None:
    one, two = slot("1"), slot("2")
    table = Table(champion=two, previous=one, generation=2, since=NOON)

    again = table.serving(two, 3, LATER)

    assert again == Table(champion=two, previous=one, generation=3, since=NOON)


def test_a_prepared_slot_wins_over_a_served_one_of_the_same_number() -> None:
    old, recreated = slot("1", "old files"), slot("1", "new files")

    assert Table(champion=old, prepared=recreated).held("1") is recreated
    assert Table(champion=old).held("1") is old
    assert Table(champion=old).held("2") is None
