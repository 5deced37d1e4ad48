"""What `steward demo` is made of: its directory, its models, its eye for the unexpected."""

import os
import threading
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest

from steward.cli.demo_captures import Captures, slack_text
from steward.cli.demo_home import MARKER, isolate, make_empty
from steward.cli.demo_reading import against, numbers
from steward.cli.demo_screen import Row, Screen
from steward.cli.demo_show import ACTS, MET_ANSWERS, Show, StoppedError
from steward.cli.demo_training import (
    BEST,
    BETTER,
    FIRST,
    SLIGHTLY_BETTER,
    TOO_WEAK,
    Models,
    Trained,
    fit,
    load,
)
from steward.errors import ConfigurationError

MINIMUM, MARGIN = 0.85, 0.02
ROW = Row(
    at=datetime(2026, 3, 1, tzinfo=UTC),
    version="4",
    metric="0.9450",
    against="v1 0.8862",
    verdict="promoted",
    told="+0.0588, at least 0.02",
    serving=("4", "4", "4"),
    seen_by="webhook",
    seconds=2.4,
)


# -- its directory --------------------------------------------------------------------------------


def test_a_demo_starts_in_an_empty_directory_whatever_the_last_one_left(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    make_empty(home)
    (home / "logs").mkdir()
    (home / "logs" / "receiver.log").touch()
    (home / "steward.db").touch()

    make_empty(home)

    assert {path.name for path in home.iterdir()} <= {MARKER, "lock"}


def test_a_directory_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()

    with pytest.raises(ConfigurationError, match="would delete it"):
        make_empty(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_link_out_of_the_directory_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    make_empty(tmp_path / "demo")
    (tmp_path / "demo" / "link").symlink_to(precious)

    make_empty(tmp_path / "demo")

    assert (precious / "file").exists()


def test_nobodys_settings_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {"MLFLOW_TRACKING_URI": "http://mlflow", "HOME": "/root"})
    (tmp_path / ".env").write_text("STEWARD_DATABASE_URL=postgresql://team\n")
    make_empty(tmp_path / "demo")

    ignored = isolate(tmp_path / "demo")

    assert ignored == ["MLFLOW_TRACKING_URI", "STEWARD_DATABASE_URL"]
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert not Path(".env").exists()


# -- its models -----------------------------------------------------------------------------------


def test_what_the_models_really_reach_leads_to_each_outcome() -> None:
    split = load()

    auc = {recipe: fit(recipe, split).auc for recipe in [act.recipe for act in ACTS]}

    assert auc[FIRST] >= MINIMUM
    assert 0 < auc[SLIGHTLY_BETTER] - auc[FIRST] < MARGIN - 0.005
    assert auc[TOO_WEAK] < MINIMUM - 0.02
    assert auc[BETTER] - auc[FIRST] > MARGIN + 0.01
    assert auc[BEST] - auc[BETTER] > MARGIN + 0.01


# -- its table ------------------------------------------------------------------------------------


def test_a_version_is_one_line_of_at_most_100_columns(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()

    screen.header()
    screen.row(replace(ROW, told="held for a reason that somebody told at great length"))

    header, row = capsys.readouterr().out.splitlines()
    assert len(header) <= 100
    assert len(row) <= 100
    assert row.endswith("4 4 4    webhook 2.4")


def test_the_numbers_of_a_decision_are_told_in_a_few_words() -> None:
    champion = {"version": "1", "value": "0.886186667"}
    held = {"champion": champion, "gain": "0.0118", "margin": "0.02"}
    rejected = {"champion": None, "reasons": ["test_auc 0.7655 is below the minimum of 0.85"]}
    first = {"champion": None, "reasons": ["there is no Production yet; test_auc is 0.9"]}

    assert (against(held), numbers(held)) == ("v1 0.8862", "+0.0118, less than 0.02")
    assert numbers({**held, "gain": "0.02"}) == "+0.0200, at least 0.02"
    assert (against(rejected), numbers(rejected)) == ("-", "below the minimum of 0.85")
    assert numbers(first) == "there is no Production yet"


def test_a_slack_message_is_shown_as_lines_without_its_repetition() -> None:
    header = {"type": "header", "text": {"type": "plain_text", "text": "fraud 7 promoted"}}
    why = {"type": "section", "fields": [{"type": "mrkdwn", "text": "*Why*"}]}
    message = {"text": "fraud 7 promoted", "blocks": [header, why, {"type": "divider"}]}

    assert slack_text(message) == "fraud 7 promoted\n*Why*"


# -- its eye for the unexpected -------------------------------------------------------------------


class FakeSteward:
    """Registers versions, and answers as Steward would in a demo that goes well."""

    replicas = ("http://replica-1", "http://replica-2")

    def __init__(self) -> None:
        self.versions: list[Trained] = []
        self.verdicts = {str(n): act.verdict for n, act in enumerate(ACTS, start=1)}
        self.ways = {"5": "poll"}
        self.served: str | None = None
        self.given_up: list[str] = []

    def log(self, trained: Trained) -> Trained:
        return trained

    def register(self, logged: Trained) -> str:
        self.versions.append(logged)
        return str(len(self.versions))

    def webhook_off(self) -> nullcontext[None]:
        return nullcontext()

    def verdict(self, version: str) -> str:
        if self.verdicts[version] == "promoted":
            self.served = version
        return self.verdicts[version]

    def decision(self, version: str, verdict: str) -> dict[str, object]:
        return {"reasons": [f"version {version} was {verdict}"]}

    def seen_by(self, version: str) -> str:
        return self.ways.get(version, "webhook")

    def serving(self) -> tuple[str | None, ...]:
        return (self.served,) * len(self.replicas)

    def dead(self) -> list[str]:
        return self.given_up


class FakeClients:
    def __init__(self) -> None:
        self.answers = Counter(dict.fromkeys("12345", MET_ANSWERS))
        self.failures: list[str] = []

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def told(self) -> str:
        return "150 requests"


@pytest.fixture
def steward() -> FakeSteward:
    return FakeSteward()


def perform(
    steward: FakeSteward, clients: FakeClients | None = None, stop: threading.Event | None = None
) -> list[str]:
    captures = Captures()
    captures.slack.extend({} for _ in ACTS)
    captures.mails.extend(EmailMessage() for _ in ACTS)
    models = Models(None, {act.recipe: Trained(act.recipe, None, 0.9) for act in ACTS})
    show = Show(steward, Screen(), captures, stop or NeverEvent())
    show.perform(steward, models, clients or FakeClients())
    return show.unexpected


class NeverEvent(threading.Event):
    """Nobody stops the show, and no pause lasts."""

    def wait(self, timeout: float | None = None) -> bool:
        return False


def test_a_demo_in_which_all_goes_well_finds_nothing_unexpected(steward: FakeSteward) -> None:
    assert perform(steward) == []


def test_another_verdict_than_the_expected_one_is_told(steward: FakeSteward) -> None:
    steward.verdicts["3"] = "held"

    (problem,) = perform(steward)

    assert problem.startswith("version 3 (")
    assert problem.endswith("was held instead of rejected")


def test_a_version_that_no_webhook_missed_is_told(steward: FakeSteward) -> None:
    steward.ways["5"] = "both"

    (problem,) = perform(steward)

    assert problem.endswith("was seen by both instead of poll")


def test_replicas_that_serve_what_was_not_promoted_are_told(steward: FakeSteward) -> None:
    steward.serving = lambda: ("1", "2") if len(steward.versions) == 2 else (steward.served,)

    (problem,) = perform(steward)

    assert problem.endswith("the replicas serve 1, 2 instead of 1")


def test_a_failed_request_of_a_client_is_told(steward: FakeSteward) -> None:
    clients = FakeClients()
    clients.failures.append("http://replica-1: 500")

    assert perform(steward, clients) == ["1 requests of clients failed"]


def test_a_handler_that_gave_up_is_told(steward: FakeSteward) -> None:
    steward.given_up = ["promotion.held of version 2"]

    assert perform(steward) == ["a handler gave up on promotion.held of version 2"]


def test_a_stopped_show_ends_at_its_next_wait(steward: FakeSteward) -> None:
    stop = threading.Event()
    stop.set()

    with pytest.raises(StoppedError):
        perform(steward, stop=stop)

    assert len(steward.versions) == 1
