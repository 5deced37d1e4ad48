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


_FRAUD = {"name": "fraud", "registry": "eu", "workspace": ""}
_LOAN = {"versions": [{"version": "7"}], "version_count": 1}
_LOAN_7 = {
    "version": "7",
    "stage": "None",
    "aliases": [],
    "verdict": None,
    "metrics": {},
    "found": {},
    "tags": {"team": "risk", "approval_status": "rejected", "rejected_by": "ada"},
}
ANSWERS: dict[str, dict[str, object]] = {
    "/models": {"items": [_FRAUD], "next_cursor": None},
    "/models/loan": _LOAN,
    "/models/loan/versions/7": _LOAN,
    "/models/loan/versions": {"items": [_LOAN_7], "next_cursor": None},
    "/models/loan/receipts": {"items": [], "head": None, "policies": {}, "next_cursor": None},
    "/replicas": {"items": []},
    "/events/e1": {"event": {"id": "e1"}},
    "/events/e1/replay": {"steps": [], "counts": {}},
}


def receiver(request: httpx.Request) -> httpx.Response:
    """Lists one model, fraud in registry eu; knows loan, and an event without dispatches."""
    found = ANSWERS.get(request.url.path.removeprefix("/api/v1"))
    return httpx.Response(200, json=found) if found else NOT_FOUND


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


@pytest.mark.parametrize(
    "words",
    [
        "approve loan 9",
        "reject loan 9 --reason no",
        "promote loan 9",
        "request-approval loan 9",
        "compare loan 7 9",
        "compare loan 9 7",
        "receipts list loan 9",
    ],
)
def test_a_version_that_is_not_there_is_told_by_those_that_are(words: str) -> None:
    ran = say(*words.split())

    assert (ran.code, ran.err) == (1, "Steward knows no version 9 of loan; its versions are 7.\n")


def test_a_model_without_receipts_is_no_wrong_name() -> None:
    ran = say("receipts", "list", "loan", "7")

    assert (ran.code, ran.out) == (0, "No decision has a receipt yet.\n")


@pytest.mark.parametrize(
    "words", [("reject", "loan", "7", "--reason", " "), ("promote", "loan", "7", "--override")]
)
def test_what_needs_a_reason_names_the_option(words: tuple[str, ...]) -> None:
    ran = say(*words)

    assert ran.code == 2
    assert "Invalid value for --reason" in ran.all


@pytest.mark.parametrize("digest", ["zzz", "abc", "0" * 65])
def test_what_is_no_hash_is_not_asked_for(digest: str) -> None:
    ran = say("receipts", "show", digest)

    assert ran.code == 2
    assert "8 to 64 digits and letters a to f" in ran.all


def test_a_place_that_takes_no_export_is_named(tmp_path: Path) -> None:
    file = tmp_path / "none" / "loan.jsonl"

    ran = say("receipts", "export", "loan", "--output", str(file))

    assert (ran.code, ran.err) == (2, f"{file} cannot be written: No such file or directory.\n")


def test_a_list_of_versions_leaves_out_who_answered_and_when() -> None:
    ran = say("models", "versions", "loan")

    assert ran.out.splitlines()[1].endswith("team=risk, approval_status=rejected")
