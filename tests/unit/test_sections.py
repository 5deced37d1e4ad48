"""The account by subject, out of events of any age."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from steward.cli.sections import print_sections
from steward.events import Event, EventType, ModelRef
from webhook_receiver.api.sections import sections_of

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(type_: str, version: str = "7", *, at: int = 0, **fields: Any) -> Event:
    known = {"before": None, "after": None, "data": {}, "caused_by": None, **fields}
    moment = START + timedelta(seconds=at)
    return Event(
        id=f"{type_}@{at}",
        type=type_,
        source="steward",
        model=ModelRef("fraud"),
        version=version,
        occurred_at=moment,
        recorded_at=moment,
        **known,
    )


def compared(one: dict[str, Any], other: dict[str, Any]) -> Any:
    data = {"candidate": {"value": "0.9", **one}, "champion": {"value": "0.8", **other}}
    return sections_of("7", [event(EventType.PROMOTED, data=data)], [])["compared"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"dataset": "q3", "digest": "d"}, {"dataset": "q3", "digest": "d"}, True),
        ({"dataset": "q3", "digest": "d"}, {"dataset": "q3", "digest": "e"}, False),
        ({"dataset": "q3"}, {"dataset": "q2"}, False),
        ({"dataset": "q3"}, {"dataset": "q3"}, None),
        ({"dataset": "q3"}, {}, None),
        ({}, {}, None),
    ],
)
def test_data_is_the_same_only_where_name_and_digest_agree(
    one: dict[str, Any], other: dict[str, Any], expected: bool | None
):
    assert compared(one, other)["is_same_data"] is expected


COMPARISON = {
    "method": "delong",
    "confidence": 0.95,
    "n": 285,
    "n_pos": 179,
    "n_neg": 106,
    "delta": -0.05,
    "se": 0.01,
    "interval_low": -0.07,
    "interval_high": -0.03,
}


INTERVAL = "95% interval -0.07 to -0.03"
ERROR = "standard error 0.01, 285 rows"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {},
            f"worse by 0.05, {INTERVAL} (paired DeLong, {ERROR}: 179 positive, 106 negative)",
        ),
        (
            {"method": "bootstrap", "n_pos": None, "delta": 0.05},
            f"better by 0.05, {INTERVAL} (paired bootstrap, {ERROR})",
        ),
        ({"delta": None}, ""),
    ],
)
def test_explain_says_how_sure_a_difference_on_the_holdout_is(
    changed: dict[str, Any], expected: str, capsys: pytest.CaptureFixture[str]
):
    data = {"candidate": {"value": "0.8"}, "champion": {"value": "0.85"}, "metric": "auc"}
    held = event(EventType.HELD, data={**data, "comparison": {**COMPARISON, **changed}})

    print_sections({**sections_of("7", [held], []), "decided": None})

    told = " ".join(capsys.readouterr().out.split())
    assert (f"Difference {expected}" if expected else "Compared") in told
    assert ("Difference" in told) == bool(expected)


def attempt(outcome: str, second: int, detail: str = "") -> dict[str, Any]:
    at = START + timedelta(seconds=second)
    return {"outcome": outcome, "detail": detail, "started_at": at, "ended_at": at}


def step(handler: str, *attempts: dict[str, Any]) -> dict[str, Any]:
    dispatch = {"handler": handler, "attempts": list(attempts)}
    return {"version": "7", "dispatches": [dispatch]}


def test_a_wait_lasts_until_the_attempt_that_went_on():
    attempts = (
        attempt("waiting", 0, "waiting for test_auc until 13:00 UTC"),
        attempt("succeeded", 90),
    )

    (waited,) = sections_of("7", [], [step("validate", *attempts)])["waited"]

    assert (waited["for"], waited["seconds"], waited["is_over"]) == (
        "test_auc until 13:00 UTC",
        90.0,
        True,
    )


def test_handlers_that_only_follow_a_decision_are_no_wait():
    following = step("annotate", attempt("waiting", 0, "being decided"))

    assert sections_of("7", [], [following])["waited"] == []


def test_a_change_of_production_without_our_decision_is_a_persons():
    promoted = event(EventType.PROMOTED, at=1, caused_by="validated")
    changed = event(EventType.CHAMPION_CHANGED, at=1, after="7", before="6", caused_by="validated")
    by_hand = event(EventType.CHAMPION_CHANGED, at=1, after="7", before="6", caused_by="moved")

    def by(*events: Event) -> str:
        return str(sections_of("7", events, [])["promoted"]["by"])

    assert by(promoted, changed) == "steward"
    assert by(promoted, by_hand) == by(by_hand) == "a person, in the registry"


def test_a_promotion_that_a_person_asked_for_names_that_person():
    asked = event(EventType.PROMOTION_REQUESTED, at=1, data={"actor": "ada"})
    promoted = event(EventType.PROMOTED, at=2, caused_by=asked.id)
    changed = event(EventType.CHAMPION_CHANGED, at=2, after="7", before="6", caused_by=asked.id)

    def asked_by(*events: Event) -> object:
        return sections_of("7", events, [])["promoted"]["asked_by"]

    assert asked_by(asked, promoted, changed) == "ada"
    assert asked_by(promoted, changed) is None


def test_a_version_that_was_replaced_says_when_and_by_what_and_cannot_be_undone():
    became = event(EventType.CHAMPION_CHANGED, at=1, after="7", before="6")
    left = event(EventType.CHAMPION_CHANGED, "8", at=9, after="8", before="7")

    told = sections_of("7", [became, left], [])

    assert (told["promoted"]["until"], told["promoted"]["replaced_by"]) == (left.occurred_at, "8")
    assert told["undo"] == []


def test_checks_follow_the_gates_with_their_numbers():
    data = {
        "gates": [{"name": "metric auc", "status": "pass", "detail": "known"}],
        "checks": [{"name": "drift", "status": "fail", "value": 0.3, "threshold": 0.2, "n": 500}],
    }

    checks = sections_of("7", [event(EventType.VALIDATED, data=data)], [])["checks"]

    assert [(one["name"], one["status"], one["value"], one["n"]) for one in checks] == [
        ("metric auc", "pass", None, None),
        ("drift", "fail", 0.3, 500),
    ]


def test_the_report_is_the_newest_judgements_own():
    where = "runs:/r1/validation/report.html"
    written = event(EventType.VALIDATED, data={"gates": [], "report": where})
    odd = event(EventType.HELD, at=1, data={"gates": [], "report": 7})
    without = event(EventType.REJECTED, at=1, data={"gates": []})

    assert sections_of("7", [written], [])["report"] == where
    assert sections_of("7", [written, without], [])["report"] is None
    assert sections_of("7", [odd], [])["report"] is None


def test_events_that_keep_other_things_under_these_names_are_no_fault():
    odd = {"gates": "none", "checks": 7, "metrics": None, "found": None, "candidate": "7"}
    events = [event(EventType.VALIDATED, data=odd), event(EventType.HELD, at=1, data=odd)]

    told = sections_of("7", events, [])

    assert (told["checks"], told["compared"], told["not_used"]) == ([], None, [])


def test_a_question_is_stewards_and_a_request_a_persons_if_it_has_a_name():
    requested = EventType.APPROVAL_REQUESTED
    asked = [
        event(requested, data={"evidence": "e1"}, at=0),
        event(requested, data={"actor": "eve"}, at=1),
        event(requested, data={"by_tag": True}, at=2),
    ]

    actors = [each["actor"] for each in sections_of("7", asked, [])["approved"]]

    assert actors == ["steward", "eve", None]


def test_a_rollback_to_a_version_is_its_newest_decision():
    events = [
        event(EventType.PROMOTED, data={"verdict": "promoted", "reasons": ["it is better"]}),
        event(EventType.ROLLED_BACK, at=1, before="7", after="6", data={"verdict": "rolled_back"}),
        event(EventType.ROLLED_BACK, "6", at=2, before="6", after="7", data={"mode": "act"}),
    ]

    told = [sections_of("7", events[:count], [])["decided"] for count in (1, 2, 3)]

    assert [each["verdict"] for each in told] == ["promoted", "rolled_back", "promoted"]
    assert told[2]["reasons"] == ["Production went forward to it from version 6"]
    assert (told[2]["code"], told[2]["mode"]) == ("rolled_back_to", "act")
