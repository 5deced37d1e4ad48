"""What the policy leaves to people: approved, rejected by tag, expired; the author is refused."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from steward.events import EventType
from tests.acceptance.installation import Installation, installed
from tests.servers import eventually

POLICY = """\
version: 1
groups: {leads: [lead, author]}
policies:
  - name: asked
    match: {models: ["asked-*"]}
    mode: act
    production: {stage: Production, mirror_alias: champion}
    metrics: {auc: {names: [test_auc], better: higher}}
    require: {metrics: {auc: {min: 0.85}}}
    promote:
      when: {metric: auc, margin: 0.02}
      first_version: approval
      approval: {from: [leads]}
  - name: hasty
    match: {models: ["hasty-*"]}
    mode: act
    production: {stage: Production, mirror_alias: champion}
    promote:
      first_version: approval
      approval: {expires_hours: 0.001}
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A Steward whose policy asks people about the first version."""
    with installed(
        tmp_path_factory.mktemp("asked"),
        policy=POLICY,
        serve=("asked-served",),
        replicas=1,
        environment={"STEWARD_MODE": "act"},
    ) as stack:
        yield stack


def token(stack: Installation, owner: str) -> dict[str, str]:
    made = stack.cli("token", "create", owner, "--role", "approver")
    return {"authorization": f"Bearer {made.stdout.strip()}"}


def wait_for_verdict(stack: Installation, model: str, version: str, verdict: str) -> None:
    def stands() -> bool:
        return stack.tags(model, version).get("steward.verdict") == verdict

    eventually(stands, 60)


def answer(stack: Installation, owner: str, model: str, version: str, verb: str) -> httpx.Response:
    return stack.api.post(
        f"/models/{model}/versions/{version}/{verb}",
        json={"comment": "looked at it"},
        headers=token(stack, owner),
    )


def test_the_first_version_waits_is_refused_to_its_author_and_served_once_approved(
    asked: Installation,
) -> None:
    model = "asked-served"
    version = asked.register(model, real_model=True, run_tags={"mlflow.user": "author"})
    wait_for_verdict(asked, model, version, "awaiting_approval")
    listed = asked.cli("approvals", "list")

    by_author = answer(asked, "author", model, version, "approve")
    by_lead = answer(asked, "lead", model, version, "approve")

    assert f"{model} version {version}: 0 of 1" in listed.stdout
    assert asked.tags(model, version)["approval_status"] == "pending"
    assert (by_author.status_code, by_author.json()["code"]) == (409, "may_not_approve")
    assert by_lead.status_code == 202
    eventually(lambda: asked.serving(model) == [version], 60)
    eventually(lambda: asked.tags(model, version).get("approval_status") == "approved", 30)
    assert asked.tags(model, version)["approved_by"] == "lead"
    assert asked.get("/approvals")["items"] == []


def test_an_approval_by_tag_that_nobody_accepts_promotes_nothing_and_is_taken_back(
    asked: Installation,
) -> None:
    model = "asked-forged"
    version = asked.register(model)
    wait_for_verdict(asked, model, version, "awaiting_approval")
    eventually(lambda: asked.tags(model, version).get("approval_status") == "pending", 30)

    asked.mlflow.set_model_version_tag(model, version, "approval_status", "approved")

    eventually(lambda: asked.tags(model, version)["approval_status"] == "pending", 30)
    assert asked.in_production(model) == []
    assert asked.verdict(model, version, wait=0)["verdict"] == "awaiting_approval"


@pytest.mark.parametrize(
    ("key", "value"),
    [("approved_by", "mallory"), ("requested_by", "mallory"), ("requested_at", "")],
)
def test_every_tag_of_an_approval_is_brought_back_once(
    asked: Installation, key: str, value: str
) -> None:
    model = f"asked-{key}"
    version = asked.register(model)
    wait_for_verdict(asked, model, version, "awaiting_approval")
    before = asked.tags(model, version)
    eventually(lambda: key not in before or changes_of(asked, model, key), 30)
    known = len(changes_of(asked, model, key))

    if value:
        asked.mlflow.set_model_version_tag(model, version, key, value)
    else:
        asked.mlflow.delete_model_version_tag(model, version, key)
    eventually(lambda: len(changes_of(asked, model, key)) > known + 1, 30)

    assert asked.tags(model, version) == before
    asked.mlflow.update_model_version(model, version, description="a poll looks once more")
    asked.only(model=model, type=EventType.VERSION_UPDATED)
    theirs, ours = changes_of(asked, model, key)[known:]
    assert theirs["seen_by"] != "self"
    assert ours["seen_by"] == "self"
    assert asked.verdict(model, version, wait=0)["verdict"] == "awaiting_approval"


def changes_of(stack: Installation, model: str, key: str) -> list[dict[str, Any]]:
    """Every change of a tag that the journal has, oldest first."""
    return [
        each
        for each in stack.events(model=model)
        if each["type"].startswith("model_version_tag.") and each["data"].get("key") == key
    ]


def test_a_rejection_by_tag_is_final_but_for_an_override(asked: Installation) -> None:
    model = "asked-tagged"
    version = asked.register(model)
    wait_for_verdict(asked, model, version, "awaiting_approval")

    asked.mlflow.set_model_version_tag(model, version, "approval_status", "rejected")
    wait_for_verdict(asked, model, version, "rejected")
    refused = asked.cli("promote", model, version, "--reason", "I want it")
    passed = asked.cli("promote", model, version, "--override", "--reason", "the tag was wrong")

    assert refused.returncode == 1
    assert "only an override" in refused.stderr
    assert passed.returncode in (0, 1), passed.stderr  # no replica of it runs here
    eventually(lambda: asked.in_production(model) == [version], 30)
    assert any(
        "overrode" in str(each["data"]) for each in asked.events(model=model, version=version)
    )


def test_a_question_that_nobody_answers_expires(asked: Installation) -> None:
    model = "hasty-one"

    version = asked.register(model)

    wait_for_verdict(asked, model, version, "held")
    assert asked.verdict(model, version)["code"] == "approval_expired"
    assert "approval_status" not in asked.tags(model, version)
