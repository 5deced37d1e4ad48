"""``steward wait``: when a pipeline may go on, when it must stop, and when nobody knows."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from steward.cli.waiting import is_yes, standing
from tests.cli_support import Ran, run


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEWARD_URL", raising=False)


def found(verdict: str | None, production: str | None, **more: Any) -> dict[str, Any]:
    return {
        "model": "fraud",
        "version": "7",
        "verdict": verdict,
        "reasons": ["why"],
        "code": "why",
        "production": production,
        "serving": {"version": None, "desired": production, "generation": 1, "replicas": {}},
        "url": "http://here",
        "for": "decided",
        "is_reached": verdict != "waiting",
        **more,
    }


@pytest.mark.parametrize(
    ("goal", "verdict", "production", "is_reached", "expected"),
    [
        ("decided", "promoted", "7", True, True),
        ("decided", "held", "6", True, False),
        ("decided", "rejected", None, True, False),
        ("decided", "waiting", "6", False, None),
        ("decided", None, "7", True, True),  # older than the journal, and Production
        ("decided", None, "6", True, False),
        ("promoted", "promoted", "7", True, True),
        ("promoted", "held", "7", True, True),  # a person promoted it
        ("promoted", "held", "6", False, False),
        ("promoted", "waiting", "6", False, None),
        ("serving", "promoted", "7", True, True),
        ("serving", "promoted", "7", False, None),
        ("serving", "held", "6", False, False),
        ("serving", "rolled_back", "6", False, False),
        ("serving", "promoted", "8", False, False),  # replaced by a later one
    ],
)
def test_what_counts_as_yes_no_and_not_yet(
    goal: str, verdict: str | None, production: str, is_reached: bool, expected: bool | None
):
    asked = found(verdict, production, **{"for": goal, "is_reached": is_reached})

    assert is_yes(asked) is expected


@pytest.mark.parametrize("goal", ["decided", "promoted", "serving"])
def test_a_judgement_that_is_dead_is_a_no_until_somebody_replays_it(goal: str) -> None:
    asked = found("waiting", "6", **{"for": goal, "is_reached": False, "code": "dead"})

    assert is_yes(asked) is False


class Receiver:
    """Answers one after the other; the last one again and again."""

    def __init__(self, *answers: httpx.Response | None) -> None:
        self._answers = list(answers)
        self.asked: list[httpx.URL] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is None:
            raise httpx.ConnectError("Connection refused", request=request)
        return httpx.Response(answer.status_code, json=answer.json())

    def wait(self, *words: str) -> Ran:
        transport = httpx.MockTransport(self)
        return run("wait", "fraud", "7", *words, transport=transport)


def says(verdict: str, **more: Any) -> httpx.Response:
    return httpx.Response(200, json=found(verdict, "6", **more))


UNKNOWN = httpx.Response(404, json={"status": 404, "detail": "no version 7"})


def test_each_change_of_reason_is_a_line_and_the_verdict_stands_alone():
    receiver = Receiver(
        UNKNOWN, says("waiting", reasons=["being judged"]), says("held", reasons=["too little"])
    )

    ran = receiver.wait()

    assert ran.code == 1
    assert ran.err.splitlines() == [
        "fraud version 7 is not known yet: waiting for its registration.",
        "fraud version 7: waiting: being judged. Production is version 6.",
    ]
    assert ran.out.splitlines()[0] == (
        "fraud version 7: held: too little. Production is version 6."
    )


def test_the_first_question_does_not_wait_and_those_after_do():
    receiver = Receiver(says("waiting"), says("promoted"))

    assert receiver.wait("--for", "decided").code == 0
    assert [url.params["wait"] for url in receiver.asked] == ["0", "10.0"]


def test_time_that_is_up_is_three():
    ran = Receiver(UNKNOWN).wait("--timeout", "0.6s", "--json")

    assert ran.code == 3
    assert ran.json == {"model": "fraud", "version": "7", "verdict": "unknown"}
    assert "Not decided within 0.6 s." in ran.err


def test_a_receiver_that_was_never_there_is_four_at_once():
    receiver = Receiver(None)

    assert receiver.wait().code == 4
    assert len(receiver.asked) == 1


def test_a_receiver_that_is_restarted_meanwhile_does_not_end_the_wait():
    ran = Receiver(says("waiting"), None, says("promoted")).wait()

    assert ran.code == 0
    assert "Trying on." in ran.err


def test_a_receiver_that_stays_away_is_four_in_the_end():
    assert Receiver(says("waiting"), None).wait("--timeout", "0.6s").code == 4


def test_a_wrong_duration_is_a_usage_error():
    ran = Receiver(UNKNOWN).wait("--timeout", "soon")

    assert ran.code == 2
    assert "'soon' is no duration" in ran.all


def test_a_replica_that_serves_nothing_yet_serves_no_version() -> None:
    serving = {"version": None, "desired": "7", "generation": 1, "replicas": {"none": 1, "6": 2}}

    told = standing(found("held", "6", serving=serving, **{"for": "serving"}))

    assert told.endswith("Replicas serving: 1 of no version, 2 of version 6.")


def test_a_reason_that_ends_in_a_full_stop_gets_no_second_one():
    told = standing(found("rejected", "6", reasons=["name it in the policy's sandbox.trusted."]))

    assert told == ("rejected: name it in the policy's sandbox.trusted. Production is version 6.")
