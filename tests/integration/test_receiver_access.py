"""Who may do what: tokens, roles, loopback, and what a browser cannot be made to do."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from steward.journal import audit
from steward.journal.audit import Role
from tests.deliveries import created
from tests.integration.receiver_support import Receiver, receiver

ACTIONS = [
    ("/api/v1/replay", {"filter": {"model": "fraud"}}, 202),
    ("/api/v1/pause", {"model": "fraud"}, 202),
    ("/api/v1/resume", {"model": "fraud"}, 409),
    ("/api/v1/models/fraud/rollback", {"version": "1"}, 409),
]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path) as running:
        running.deliver(created())
        running.deliver(created(name="churn"))
        yield running


def bearer(here: Receiver, role: Role, models: list[str] | None = None) -> dict[str, str]:
    secret, _ = audit.create_token(here.journal, owner="ada", role=role, models=models)
    return {"authorization": f"Bearer {secret}"}


@pytest.mark.parametrize(("path", "body"), [action[:2] for action in ACTIONS])
def test_without_a_token_loopback_may_only_read(here: Receiver, path: str, body: dict[str, object]):
    refused = here.client.post(path, json=body)

    assert (refused.status_code, refused.json()["code"]) == (401, "token_needed")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert here.client.get("/api/v1/events").status_code == 200


@pytest.mark.parametrize(("path", "body", "status"), ACTIONS)
@pytest.mark.parametrize(
    ("role", "may_act"),
    [("viewer", False), ("approver", False), ("operator", True), ("admin", True)],
)
def test_operators_and_admins_act_and_the_others_read(  # noqa: PLR0917  # a row of the table
    here: Receiver, role: Role, may_act: bool, path: str, body: dict[str, object], status: int
):
    headers = bearer(here, role)

    answer = here.client.post(path, json=body, headers=headers)

    assert answer.status_code == (status if may_act else 403)
    assert here.client.get("/api/v1/models", headers=headers).status_code == 200


def test_a_token_that_is_limited_to_models_sees_and_touches_no_other(here: Receiver):
    headers = bearer(here, "operator", ["fr*"])
    client = here.client
    churn = client.get("/api/v1/events", params={"model": "churn"}).json()["items"][0]["id"]
    client.headers.update(headers)

    assert [each["model"] for each in client.get("/api/v1/events").json()["items"]] == ["fraud"]
    assert [each["name"] for each in client.get("/api/v1/models").json()["items"]] == ["fraud"]
    assert client.get(f"/api/v1/events/{churn}").status_code == 404
    assert client.get("/api/v1/models/churn").status_code == 403
    assert client.get("/api/v1/models/churn/versions/1/verdict").status_code == 403
    assert client.post("/api/v1/models/churn/rollback", json={}).status_code == 403
    assert client.post("/api/v1/pause", json={}).status_code == 403
    assert client.post("/api/v1/pause", json={"model": "fraud"}).status_code == 202
    replayed = client.post("/api/v1/replay", json={"all": True})
    assert {step["event_type"] for step in replayed.json()["steps"]} == {"model_version.created"}


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "localhost.evil.example"},
        {"host": "[::1"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"x-forwarded-for": "203.0.113.7"},
        {"authorization": "Bearer stw_unknown"},
        {"authorization": "Basic YTpi"},
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/events", "/metrics", "/api/v1/health"])
def test_who_is_not_this_machine_and_has_no_token_reads_nothing(
    here: Receiver, headers: dict[str, str], path: str
):
    answer = here.client.get(path, headers=headers)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "headers",
    [{"host": "localhost:8800"}, {"host": "[::1]"}, {"origin": "http://127.0.0.1:3000"}, {}],
)
def test_this_machine_reads_by_any_of_its_names(here: Receiver, headers: dict[str, str]):
    assert here.client.get("/api/v1/events", headers=headers).status_code == 200


def test_a_token_is_good_from_any_host(here: Receiver):
    headers = {"host": "steward.example", **bearer(here, "viewer")}

    assert here.client.get("/api/v1/events", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_are_open(here: Receiver, path: str):
    assert here.client.get(path, headers={"host": "steward.example"}).status_code == 200
    assert here.client.head(path).status_code == 200


def test_a_revoked_token_is_refused_when_it_is_no_longer_remembered(here: Receiver):
    secret, token = audit.create_token(here.journal, owner="ada", role="viewer")
    audit.revoke_token(here.journal, token.id)

    answer = here.client.get("/api/v1/events", headers={"authorization": f"Bearer {secret}"})

    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_token")


def run_with(**settings: object) -> str:
    """Run a receiver as a process; why it did not start."""
    program = (
        "import json, sys; from pathlib import Path; from webhook_receiver.app import run; "
        "from steward.settings import Settings; "
        "run(Settings(_env_file=None, **json.loads(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(settings, default=str)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    return done.stderr


def test_nothing_is_bound_beyond_loopback_before_a_token_exists(tmp_path: Path):
    assert "steward token create" in run_with(data_dir=tmp_path, host="0.0.0.0", port=0)


def test_a_port_that_is_taken_is_a_clear_error(here: Receiver, tmp_path: Path):
    port = int(here.url.rpartition(":")[2])

    assert f"cannot listen on 127.0.0.1:{port}" in run_with(data_dir=tmp_path, port=port)
