"""What people say about a version over HTTP: who may, what is refused, what waits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steward.events import EventType, ModelRef
from steward.journal import approvals, audit
from steward.journal.audit import Role
from tests.deliveries import created
from tests.integration.receiver_support import Receiver, receiver

VERSION = "/api/v1/models/fraud/versions/1"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path) as running:
        running.deliver(created())
        yield running


def bearer(here: Receiver, role: Role = "approver", owner: str = "ada") -> dict[str, str]:
    secret, _ = audit.create_token(here.journal, owner=owner, role=role)
    return {"authorization": f"Bearer {secret}"}


def say(here: Receiver, kind: EventType, **data: Any) -> None:
    approvals.record(here.journal, kind, ModelRef("fraud"), "1", actor="steward", data=data)


def ask(here: Receiver, **data: Any) -> None:
    """The question that `promote` puts."""
    told = {
        "verdict": "awaiting_approval",
        "evidence": "e1",
        "policy": "fraud@1",
        "required": 2,
        "from": [],
        "author": "carl",
        "reasons": ["there is no Production yet"],
        "expires_at": "2026-03-04T11:00:00+00:00",
    }
    say(here, EventType.APPROVAL_REQUESTED, **{**told, **data})


@pytest.mark.parametrize(
    ("verb", "role"),
    [
        ("approve", "operator"),
        ("reject", "operator"),
        ("promote", "approver"),
        ("request-approval", "approver"),
        ("promote", "viewer"),
    ],
)
def test_each_word_needs_its_role(here: Receiver, verb: str, role: Role):
    answer = here.client.post(f"{VERSION}/{verb}", json={}, headers=bearer(here, role))

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert answer.json()["role"] in answer.json()["detail"]


def test_an_approval_of_what_waits_is_journalled_with_what_it_is_about(here: Receiver):
    ask(here)

    answer = here.client.post(f"{VERSION}/approve", json={"comment": "fine"}, headers=bearer(here))

    assert answer.status_code == 202
    event = here.client.get(f"/api/v1/events/{answer.json()['event_id']}").json()["event"]
    assert event["type"] == "approval.approved"
    assert event["data"]["evidence"] == "e1"
    assert event["data"]["actor"] == "ada"


def test_nothing_that_does_not_wait_is_approved(here: Receiver):
    answer = here.client.post(f"{VERSION}/approve", json={}, headers=bearer(here))

    assert (answer.status_code, answer.json()["code"]) == (409, "not_requested")


def test_the_author_is_refused(here: Receiver):
    ask(here, author="ada")

    answer = here.client.post(f"{VERSION}/approve", json={}, headers=bearer(here))

    assert (answer.status_code, answer.json()["code"]) == (409, "may_not_approve")
    assert "unverified" in answer.json()["detail"]


def test_a_second_approval_of_the_same_person_is_refused(here: Receiver):
    ask(here)
    headers = bearer(here)
    here.client.post(f"{VERSION}/approve", json={}, headers=headers)

    answer = here.client.post(f"{VERSION}/approve", json={}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "already_approved")


def test_a_rejection_needs_a_comment_and_is_final(here: Receiver):
    headers = bearer(here, "admin")

    without = here.client.post(f"{VERSION}/reject", json={}, headers=headers)
    rejected = here.client.post(f"{VERSION}/reject", json={"comment": "biased"}, headers=headers)
    promoted = here.client.post(f"{VERSION}/promote", json={}, headers=headers)
    overridden = here.client.post(
        f"{VERSION}/promote", json={"override": True, "comment": "CEO"}, headers=headers
    )

    assert (without.status_code, rejected.status_code) == (422, 202)
    assert (promoted.status_code, promoted.json()["code"]) == (409, "rejected_by_person")
    assert overridden.status_code == 202


def test_the_list_says_what_waits_and_who_has_approved(here: Receiver):
    ask(here)
    here.client.post(f"{VERSION}/approve", json={}, headers=bearer(here))

    (item,) = here.client.get("/api/v1/approvals").json()["items"]

    assert (item["model"], item["version"], item["required"]) == ("fraud", "1", 2)
    assert item["expires_at"] == "2026-03-04T11:00:00+00:00"


def test_a_persons_request_alone_decides_nothing(here: Receiver):
    headers = bearer(here, "operator")

    answer = here.client.post(f"{VERSION}/request-approval", json={}, headers=headers)

    assert answer.status_code == 202
    assert here.client.get("/api/v1/approvals").json()["items"] == []
