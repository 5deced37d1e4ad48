"""What becomes of an approval, a promotion or a rollback, as the command line tells it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from steward.cli.answers import answer_of
from steward.cli.following import Answer, Family
from steward.cli.rollback import outcome_of
from steward.events import Event, ModelRef
from tests.cli_support import Ran, run

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOOD = {"replicas": [{"replica": "r1", "is_serving": True}]}
BAD = {"replicas": [{"replica": "r1", "is_serving": False, "error": "no memory"}]}


def step(type_: str, *dispatches: dict[str, Any], **data: Any) -> dict[str, Any]:
    event = Event(
        id=type_,
        type=type_,
        source="steward",
        model=ModelRef("fraud"),
        version="7",
        before="6",
        after="7",
        data=data,
        occurred_at=AT,
        recorded_at=AT,
        caused_by=None,
    )
    return {"event": event.to_cloudevent(), "dispatches": list(dispatches), "caused": []}


def dispatch(handler: str, state: str, note: str) -> dict[str, Any]:
    return {"handler": handler, "state": state, "note": note}


APPROVED = step("approval.approved", dispatch("validate", "succeeded", "done"), actor="ada")
ASKED = step("approval.requested", actor="ada")
TO_PROMOTE = step("promotion.requested", actor="ada")
PROMOTED = step("model_version.promoted", reasons=["approved by ada"])
STANDS = step("model_version.validated", dispatch("promote", "succeeded", "waits for approval"))


@pytest.mark.parametrize(
    ("family", "is_good", "last"),
    [
        ([step("approval.rejected")], True, "fraud version 7 is rejected."),
        ([APPROVED], None, "fraud version 7 is judged; what follows of it is decided."),
        (
            [step("approval.approved", dispatch("validate", "pending", "new"))],
            None,
            "fraud version 7 is being judged.",
        ),
        (
            [APPROVED, step("x", dispatch("promote", "pending", "frozen until Monday"))],
            None,
            "fraud version 7: frozen until Monday.",
        ),
        ([APPROVED, step("x", dispatch("promote", "dead", "gone."))], False, "gone."),
        ([APPROVED, step("approval.requested", given=["ada"], reasons=["1 of 2"])], True, "1 of 2"),
        ([APPROVED, step("approval.requested", given=["bob"], reasons=["1 of 2"])], False, "1 of"),
        (
            [TO_PROMOTE, step("approval.requested", given=["ada"], reasons=["0 of 2"])],
            False,
            "0 of",
        ),
        ([ASKED, step("approval.requested", reasons=["0 of 2"])], True, "0 of 2"),
        ([ASKED, STANDS], True, "fraud version 7 waits for approval."),
        ([TO_PROMOTE, STANDS], False, "fraud version 7 waits for approval."),
        ([APPROVED, step("promotion.held", reasons=["worse"])], False, "  worse"),
        ([APPROVED, step("model_version.rejected", reasons=["no tag"])], False, "  no tag"),
        ([APPROVED, PROMOTED], None, "The replicas are being told."),
        (
            [APPROVED, PROMOTED, step("x", dispatch("reload", "dead", "no route"))],
            False,
            "Replicas were not told (dead): no route.",
        ),
        ([APPROVED, PROMOTED, step("rollout.finished", **GOOD)], True, "serve"),
        ([APPROVED, PROMOTED, step("rollout.failed", **BAD)], False, "no memory"),
    ],
)
def test_a_word_came_to_what_its_events_tell(family: Family, is_good: bool | None, last: str):
    answer = answer_of(family)

    assert answer.is_good is is_good
    assert last in answer.lines[-1]


def test_a_promotion_is_told_with_its_reasons():
    answer = answer_of([APPROVED, PROMOTED, step("rollout.finished", **GOOD)])

    assert answer.lines[:2] == ("fraud version 7 is Production.", "  approved by ada")


ROLLED_BACK = step("model_version.rolled_back")


@pytest.mark.parametrize(
    ("state", "more", "expected"),
    [
        (("pending", "new"), [], Answer(None, ("Asked for fraud; a worker takes it up.",))),
        (("pending", "retry 2."), [], Answer(None, ("Asked for, and put off: retry 2.",))),
        (("skipped", "no."), [], Answer(False, ("fraud was not rolled back: no.",))),
        (("dead", "no."), [], Answer(False, ("The rollback of fraud failed: no.",))),
    ],
)
def test_a_rollback_that_is_not_done_says_why(
    state: tuple[str, str], more: Family, expected: Answer
):
    assert outcome_of([step("rollback.requested", dispatch("rollback", *state)), *more]) == expected


def test_a_rollback_names_the_version_that_it_came_to():
    requested = step("rollback.requested", dispatch("rollback", "succeeded", "done"))

    done = outcome_of([requested, ROLLED_BACK, step("rollout.finished", **GOOD)])

    assert (done.is_good, done.version) == (True, "7")
    assert done.lines[0] == "fraud: Production went forward from version 6 to 7."


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEWARD_URL", raising=False)


def say(*words: str, family: Family) -> Ran:
    """The receiver accepts everything; the first event of the family is what it recorded."""
    known = {each["event"]["id"]: each for each in family}
    family[0]["caused"] = [{"id": each} for each in list(known)[1:]]

    def receiver(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(202, json={"event_id": family[0]["event"]["id"]})
        return httpx.Response(200, json=known[request.url.path.rpartition("/")[2]])

    return run(*words, transport=httpx.MockTransport(receiver))


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize(
    ("words", "first", "then"),
    [
        ("approve fraud 7", "approval.approved", "model_version.promoted"),
        ("rollback fraud 7", "rollback.requested", "model_version.rolled_back"),
    ],
)
@pytest.mark.parametrize(
    ("ended", "data", "code"), [("rollout.finished", GOOD, 0), ("rollout.failed", BAD, 1)]
)
def test_the_verbs_end_with_what_the_replicas_serve(  # noqa: PLR0917  # a table's columns
    words: str, first: str, then: str, ended: str, data: dict[str, Any], code: int
):
    family = [step(first), step(then), step(ended, **data)]

    ran = say(*words.split(), "--json", family=family)

    assert ran.code == code
    assert ran.json["is_good"] is (code == 0)
    assert (ran.json["version"], ran.json["event_id"]) == ("7", first)


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize(
    ("words", "first"),
    [("approve fraud 7", "approval.approved"), ("rollback fraud", "rollback.requested")],
)
def test_what_is_under_way_at_the_end_of_the_time_is_neither_yes_nor_no(words: str, first: str):
    late = say(*words.split(), "--timeout", "0.01s", family=[step(first)])
    unawaited = say(*words.split(), "--no-wait", family=[step(first)])

    assert (late.code, unawaited.code) == (3, 0)
    assert f"steward events show {first}" in late.err
    assert unawaited.out == f"Asked for. To follow: steward events show {first}\n"
