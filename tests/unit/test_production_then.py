"""What was Production at a time, by the changes of it: a version, empty, or unknown."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from steward.events import Event, EventType, ModelRef
from steward.journal.catalog import KnownModel
from steward.journal.past import ProductionThen, production_at
from webhook_receiver.api.standing import stage_then, verdict_then

FRAUD = ModelRef("fraud")
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def event(type_: str, hours: float, version: str | None = None, **fields: Any) -> Event:
    known = {"before": None, "after": None, "data": {}, **fields}
    return Event(
        id=f"{type_}@{hours}",
        type=type_,
        source="steward",
        model=FRAUD,
        version=version,
        occurred_at=after(hours),
        recorded_at=after(hours),
        **known,
    )


def champion(hours: float, before: str | None, now: str | None) -> Event:
    return event(EventType.CHAMPION_CHANGED, hours, now or before, before=before, after=now)


def known(**facets: Any) -> KnownModel:
    return KnownModel(1, FRAUD, None, START, None, facets)


def told(then: ProductionThen) -> str | None:
    return (then.version or "empty") if then.is_known else None


@pytest.mark.parametrize(
    ("hours", "expected"),
    [(-1, None), (0, "4"), (1.5, "6"), (2, "empty"), (5, "7")],
)
def test_each_change_holds_until_the_next_and_nothing_is_known_of_before(
    hours: float, expected: str | None
):
    changes = [champion(1, "4", "6"), champion(2, "6", None), champion(3, None, "7")]

    then = production_at(known(champion="7"), changes, after(hours))

    assert told(then) == expected


def test_without_a_change_the_present_held_since_the_journal_first_saw_the_model():
    assert told(production_at(known(champion="4"), [], after(1))) == "4"
    assert told(production_at(known(champion=None), [], after(1))) == "empty"
    assert told(production_at(known(champion="4"), [], after(-1))) is None


def test_where_nobody_ever_read_production_it_is_unknown_not_empty():
    assert told(production_at(known(), [], after(1))) is None


def test_a_verdict_is_the_latest_that_was_recorded_by_then():
    dispatch = SimpleNamespace(handler="validate", state="succeeded", finished_at=after(1))
    registered = event(EventType.VERSION_CREATED, 0, "7")
    held = event(EventType.HELD, 1, "7", data={"reasons": ["no auc"], "code": "incomplete"})
    promoted = event(EventType.PROMOTED, 2, "7", data={"reasons": ["better"]})
    events, dispatches = (registered, held, promoted), {registered.id: [dispatch]}

    verdicts = [verdict_then("7", events, dispatches, after(h)) for h in (-1, 0.5, 1, 3)]

    assert [each and each["verdict"] for each in verdicts] == [None, "waiting", "held", "promoted"]
    assert verdicts[2] is not None
    assert (verdicts[2]["reasons"], verdicts[2]["code"]) == (["no auc"], "incomplete")


def test_a_stage_is_that_of_the_last_move_by_then():
    events = (
        event(EventType.VERSION_CREATED, 0, "7"),
        event(EventType.VERSION_TRANSITIONED, 2, "7", before="None", after="Production"),
        event(EventType.VERSION_TRANSITIONED, 4, "7", before="Production", after="Archived"),
    )

    stages = [stage_then("7", events, after(h), now="Archived") for h in (-1, 1, 3, 5)]

    assert stages == [None, "None", "Production", "Archived"]


def test_a_stage_without_moves_is_the_present_one():
    assert stage_then("7", (), after(1), now="Staging") == "Staging"
