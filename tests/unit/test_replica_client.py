"""HttpFleet believes a replica only when it names exactly what was asked of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from steward.clients.replicas import HttpFleet
from steward.events import ModelRef
from steward.ports import Fleet, Replica, ReplicaAnswer
from steward.signing import verify_request

CHURN = ModelRef("churn")
ONE = Replica("one", "http://one:1", CHURN)
TWO = Replica("two", "http://two:2/", CHURN)

Respond = Callable[[httpx.Request], httpx.Response]


@contextmanager
def fleet_of(respond: Respond, *, secret: bytes | None = None) -> Iterator[HttpFleet]:
    fleet = HttpFleet(lambda _: [ONE, TWO], secret, transport=httpx.MockTransport(respond))
    try:
        yield fleet
    finally:
        fleet.close()


def reload_with(respond: Respond) -> ReplicaAnswer:
    with fleet_of(respond) as fleet:
        return fleet.reload([ONE], "7", 3, timeout_seconds=5)[0]


def prepare_with(respond: Respond) -> ReplicaAnswer:
    with fleet_of(respond) as fleet:
        return fleet.prepare([ONE], "7", 3, timeout_seconds=5)[0]


def obey(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={**json.loads(request.content), "previous": "6"})


def says(status: int, body: Any) -> Respond:
    return lambda _: httpx.Response(status, json=body)


def test_it_is_a_fleet_of_the_live_replicas() -> None:
    with fleet_of(obey) as client:
        fleet: Fleet = client

        assert fleet.replicas(CHURN) == [ONE, TWO]


def test_every_replica_is_told_and_answers_in_the_order_asked() -> None:
    with fleet_of(obey) as fleet:
        answers = fleet.reload([ONE, TWO], "7", 3, timeout_seconds=5)

    assert [answer.replica for answer in answers] == [ONE, TWO]
    assert all(answer.ok and not answer.refused and answer.error is None for answer in answers)
    assert {(answer.version, answer.generation) for answer in answers} == {("7", 3)}


def test_no_replicas_are_told_nothing() -> None:
    with fleet_of(obey) as fleet:
        assert fleet.reload([], "7", 3, timeout_seconds=5) == []


def test_the_call_is_signed_over_its_path_and_body() -> None:
    seen: list[httpx.Request] = []

    def keep(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return obey(request)

    with fleet_of(keep, secret=b"shared") as fleet:
        fleet.prepare([TWO], "7", 3, timeout_seconds=5)

    assert seen[0].url == "http://two:2/prepare"
    assert json.loads(seen[0].content) == {"model": "churn", "version": "7", "generation": 3}
    verify_request([b"shared"], seen[0].headers, seen[0].content, method="POST", path="/prepare")


@pytest.mark.parametrize(
    "body",
    [
        {"model": "churn", "version": "6", "generation": 3},
        {"model": "churn", "version": "7", "generation": 2},
        {"model": "fraud", "version": "7", "generation": 3},
        {"version": "7"},
        {},
        ["7", 3],
        "ok",
    ],
)
def test_a_200_that_names_anything_else_is_no_success(body: Any) -> None:
    answer = reload_with(says(200, body))

    assert not answer.ok
    assert not answer.refused
    assert answer.error
    assert "It answered 200 for" in answer.error


def test_a_reload_is_reported_with_the_version_that_is_really_served() -> None:
    answer = reload_with(says(200, {"model": "churn", "version": "6", "generation": 2}))

    assert (answer.version, answer.generation) == ("6", 2)


def test_a_prepare_is_reported_with_what_is_served_meanwhile() -> None:
    prepared = {"model": "churn", "version": "7", "generation": 3, "seconds": 0.2}

    answer = prepare_with(says(200, {**prepared, "serves": {"version": "6", "generation": 2}}))

    assert answer.ok
    assert (answer.version, answer.generation) == ("6", 2)


def test_a_version_that_does_not_load_is_a_refusal_with_its_reason() -> None:
    detail = "Version 7 does not load: BadZipFile"
    problem = {"status": 422, "detail": detail, "version": "6", "generation": 2}

    answer = prepare_with(says(422, problem))

    assert not answer.ok
    assert answer.refused
    assert answer.error == detail
    assert answer.version == "6"


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 500, 503])
def test_any_other_status_is_a_failure_but_no_refusal(status: int) -> None:
    answer = reload_with(says(status, {"detail": "not now", "version": "8", "generation": 4}))

    assert (answer.ok, answer.refused, answer.error) == (False, False, "not now")
    assert (answer.version, answer.generation) == ("8", 4)


def test_an_answer_that_is_not_ours_is_told_by_its_status() -> None:
    answer = reload_with(lambda _: httpx.Response(502, text="<h1>Bad gateway</h1>"))

    assert answer.error == "It answered 502."
    assert answer.version is None


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("refused"), httpx.ReadTimeout(""), httpx.RemoteProtocolError("?")]
)
def test_a_replica_that_cannot_be_reached_is_an_answer_too(error: httpx.HTTPError) -> None:
    def fail_one(request: httpx.Request) -> httpx.Response:
        if request.url.host == "one":
            raise error
        return obey(request)

    with fleet_of(fail_one) as fleet:
        lost, told = fleet.reload([ONE, TWO], "7", 3, timeout_seconds=5)

    assert told.ok
    assert not lost.ok
    assert not lost.refused
    assert lost.error
    assert lost.error.startswith("No answer: ")


def test_an_address_that_is_none_is_an_answer_too() -> None:
    with fleet_of(obey) as fleet:
        nowhere = Replica("odd", "http://odd:port", CHURN)

        assert not fleet.reload([nowhere], "7", 3, timeout_seconds=5)[0].ok


def test_an_endless_answer_is_cut_off() -> None:
    answer = reload_with(lambda _: httpx.Response(200, content=b" " * 100_000))

    assert answer.error == "No answer: the answer exceeds 65536 bytes"
