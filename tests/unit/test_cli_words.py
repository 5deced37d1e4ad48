"""What operators' verbs say of things that are not there."""

from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from steward.cli.app import build
from tests.cli_support import Ran, run

NOT_FOUND = httpx.Response(404, json={"status": 404, "detail": "there is none"})


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("STEWARD_URL", "STEWARD_SMTP_URL", "STEWARD_EMAIL_TO", "STEWARD_NOTIFY_URLS"):
        monkeypatch.delenv(name, raising=False)


def receiver(request: httpx.Request) -> httpx.Response:
    """Knows one model, fraud in registry eu, and an event without dispatches."""
    path = request.url.path.removeprefix("/api/v1")
    if path == "/models":
        fraud = {"name": "fraud", "registry": "eu", "workspace": ""}
        return httpx.Response(200, json={"items": [fraud], "next_cursor": None})
    if path == "/replicas":
        return httpx.Response(200, json={"items": []})
    if path == "/events/e1":
        return httpx.Response(200, json={"event": {"id": "e1"}})
    if path == "/events/e1/replay":
        return httpx.Response(200, json={"steps": [], "counts": {}})
    return NOT_FOUND


def say(*words: str) -> Ran:
    return run(*words, transport=httpx.MockTransport(receiver))


@pytest.mark.parametrize("version", ["abc", "v4", "0", "-1", "1.5", ""])
def test_what_is_no_version_is_not_waited_for(version: str) -> None:
    ran = say("wait", "fraud", "--", version)

    assert (ran.code, "is no version" in ran.all) == (2, True)


def test_a_model_elsewhere_is_told_by_its_place() -> None:
    ran = say("models", "show", "fraud", "-r", "us", "-w", "team")

    assert ran.err == (
        "Steward knows no fraud in registry us, workspace team, but in registry eu.\n"
    )


def test_replicas_of_an_unknown_model_are_not_just_none() -> None:
    unknown, known = say("replicas", "--model", "frau"), say("replicas", "--model", "fraud")

    assert unknown.err == "Steward knows no model frau. Did you mean fraud?\n"
    assert (unknown.code, known.code) == (1, 0)
    assert known.out.startswith("No replica.")


def test_a_replay_without_anything_to_do_names_what_it_looked_for() -> None:
    ran = say("events", "replay", "e1", "--handler", "notify")

    assert (ran.code, ran.out) == (1, "Nothing matches: no dispatch of e1 by notify.\n")


@pytest.mark.parametrize(
    ("name", "value", "missing"),
    [
        ("STEWARD_SMTP_URL", "smtp://mail.example.com", "STEWARD_EMAIL_TO"),
        ("STEWARD_EMAIL_TO", "team@example.com", "STEWARD_SMTP_URL"),
    ],
)
def test_half_of_email_is_told_with_the_other_half(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, missing: str
) -> None:
    monkeypatch.setenv(name, value)

    ran = CliRunner().invoke(build(), ["notify", "test"])

    assert ran.exit_code == 1
    assert f"{name} is set, but {missing}" in ran.stderr
