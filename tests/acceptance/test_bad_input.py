"""What strangers and broken senders POST to the front door, over real HTTP."""

from typing import Any

import httpx
import pytest

from steward.events import EventType
from tests.acceptance.deliveries import created, deliver
from tests.acceptance.installation import Installation

KILOBYTE = 1024


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "somebody-else's"},
        {"age_seconds": 330},
        {"age_seconds": -330},
        {"without": "x-mlflow-signature"},
        {"without": "x-mlflow-timestamp"},
        {"without": "x-mlflow-delivery-id"},
    ],
    ids=lambda wrong: "-".join(str(part) for pair in wrong.items() for part in pair),
)
def test_a_delivery_that_nobody_vouches_for_is_401_and_leaves_no_trace(
    house: Installation, name: str, wrong: dict[str, Any]
) -> None:
    answer = deliver(house, created(name), **wrong)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "bad_signature"
    assert house.events(model=name) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"not json", 400),
        (b"", 400),
        (b'{"entity": "model_version"', 400),
        (b'\xff\xfe"', 401),  # the recipe signs text: what is none cannot be vouched for
        (b"[]", 422),
        (b"null", 422),
        (b'{"action": "created", "data": {}}', 422),
        (b'{"entity": "model_version", "action": "created", "data": {"name": "m"}}', 422),
        (b'{"entity": "model_version", "action": "created", "data": []}', 422),
        (b'{"entity": "promotion", "action": "held", "data": {"name": "m"}}', 422),
        (b"[" * 100_000, 400),
        (b" " * (256 * KILOBYTE + 1), 413),
    ],
    ids=lambda value: f"{value[:20]!r}-of-{len(value)}" if isinstance(value, bytes) else None,
)
def test_a_signed_body_of_the_wrong_form_is_refused_with_a_sentence(
    house: Installation, body: bytes, status: int
) -> None:
    answer = deliver(house, body)

    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["code"]


def test_a_body_of_256_kib_is_still_read(house: Installation, name: str) -> None:
    document = created(name, description="x" * (255 * KILOBYTE))

    assert deliver(house, document).status_code == 202


def test_an_unknown_but_well_formed_event_is_journalled(house: Installation, name: str) -> None:
    answer = deliver(
        house, {"entity": "model_version", "action": "sold", "data": {"name": name, "version": "1"}}
    )

    assert answer.status_code == 202
    found = house.event(answer.json()["event_id"])
    assert found["event"]["type"] == "model_version.sold"
    assert found["dispatches"] == []


def test_a_delivery_about_a_version_that_mlflow_does_not_have_ends_quietly(
    house: Installation, name: str
) -> None:
    answer = deliver(house, created(name, "7"))

    assert answer.status_code == 202
    house.settle(name)
    (dispatch,) = house.event(answer.json()["event_id"])["dispatches"]
    assert (dispatch["handler"], dispatch["state"]) == ("validate", "skipped")
    assert house.events(model=name, type=EventType.DISPATCH_DIED) == []


def test_a_test_delivery_of_mlflow_triggers_nothing(house: Installation) -> None:
    (hook,) = house.mlflow.list_webhooks()

    assert house.mlflow.test_webhook(hook.webhook_id).success

    assert house.events(model="example_model") == []


def test_the_operators_api_takes_commands_from_token_bearers_alone(house: Installation) -> None:
    with httpx.Client(base_url=f"{house.url}/api/v1", trust_env=False, timeout=30) as stranger:
        assert stranger.get("/events").status_code == 200  # this machine may read
        assert stranger.post("/pause", json={"reason": "mischief"}).status_code == 401
        wrong = {"authorization": "Bearer wrong"}
        assert stranger.get("/events", headers=wrong).status_code == 401
        elsewhere = {"host": "steward.example.com"}
        assert stranger.get("/events", headers=elsewhere).status_code == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/events?colour=red", 422),
        ("/events?cursor=nonsense", 422),
        ("/events?since=yesterday", 422),
        ("/events/nobody", 404),
        ("/models/nobody", 404),
        ("/models/nobody/versions/1/verdict", 404),
        ("/models/nobody/explain", 404),
        ("/nothing", 404),
    ],
)
def test_a_question_that_cannot_be_answered_gets_a_problem_document(
    house: Installation, path: str, status: int
) -> None:
    answer = house.api.get(path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
