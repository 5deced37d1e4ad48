"""The operators' verbs against a real receiver over real HTTP; workers are played by the test."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from steward.events import EventType, NewEvent
from steward.journal import audit, dispatches, policies
from steward.journal.fleet import Heartbeat, record_heartbeats
from steward.journal.ledger import JournalLedger
from steward.journal.looking import look
from steward.policy import PolicySet
from steward.ports import Done, Intent, Skipped
from tests.cli_support import run
from tests.deliveries import created
from tests.integration.receiver_support import Receiver, at_a_shell, receiver
from tests.integration.test_receiver_api import FRAUD, claim
from tests.servers import eventually


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver, and the operator Ada at her shell."""
    monkeypatch.chdir(tmp_path)
    with receiver(tmp_path) as running:
        at_a_shell(running, monkeypatch)
        yield running


def finish(here: Receiver, handler: str, event: NewEvent, champion: str | None = None) -> None:
    """Do as a worker would: handle what is due, and write Production if it is to change."""
    claimed = claim(here, handler)
    readings = []
    if champion:
        JournalLedger(here.journal, claimed).intend(
            [Intent(FRAUD, champion, "stage", "Production")]
        )
        readings.append(look(here.journal, FRAUD).reading("", "champion", champion))
    outcome = Done((event,), tuple(readings))
    here.hints.extend(dispatches.record(here.journal, claimed, outcome))


def promote(here: Receiver, version: str) -> None:
    """Register a version, and walk it into Production and onto a replica."""
    here.deliver(created(version))
    finish(here, "validate", NewEvent(EventType.VALIDATED))
    told = {"reasons": ["it is better"], "code": "beats_production", "next": ["Lean back."]}
    finish(here, "promote", NewEvent(EventType.PROMOTED, data=told), champion=version)
    roll_out(here, version)


def roll_out(here: Receiver, version: str) -> None:
    ended = {"version": version, "replicas": [{"id": "r1", "ok": True}], "seconds": 1.25}
    finish(here, "reload", NewEvent(EventType.ROLLOUT_FINISHED, FRAUD, version, data=ended))


def die(here: Receiver, version: str = "1") -> str:
    """Register a version whose validation dies; returns the event's id."""
    event_id: str = here.deliver(created(version)).json()["event_id"]
    claimed = claim(here, "validate")
    dispatches.fail(here.journal, claimed, "MLflow is away", retry_in_seconds=None)
    return event_id


def test_events_are_listed_by_filter_and_paged(here: Receiver):
    for version in ("1", "2", "3"):
        here.deliver(created(version))

    listed = run("events", "list", "--type", "model_version.*", "--since", "1h", "--limit", "2")
    everything = run("events", "list", "--all", "--json").json
    nothing = run("events", "list", "--version", "9")

    assert [line.split()[3] for line in listed.out.splitlines()[1:]] == ["fraud/3", "fraud/2"]
    assert "There are more: --all, or --cursor " in listed.err
    assert {"3", "2", "1"} <= {item["version"] for item in everything["items"]}
    assert everything["next_cursor"] is None
    assert nothing.out == "No event matches.\n"


def test_a_cursor_goes_on_where_the_list_ended(here: Receiver):
    for version in ("1", "2", "3"):
        here.deliver(created(version))
    page = run("events", "list", "--type", "model_version.created", "--limit", "2", "--json").json

    rest = run("events", "list", "--type", "model_version.created", "--cursor", page["next_cursor"])

    assert "fraud/1" in rest.out
    assert "fraud/2" not in rest.out


def test_one_event_shows_its_delivery_its_attempts_and_what_to_do(here: Receiver):
    event_id = die(here)

    shown = run("events", "show", event_id)

    assert shown.code == 0
    assert "delivered by mlflow: event" in shown.out
    assert "MLflow is away" in shown.out
    assert "caused dispatch.died of fraud/1" in shown.out
    assert f"steward events replay {event_id}" in shown.out


def test_the_beginning_of_an_id_is_enough(here: Receiver):
    event_id = here.deliver(created("1")).json()["event_id"]

    assert run("events", "show", event_id[:-4], "--json").json["event"]["id"] == event_id


def test_what_does_not_exist_is_answered_with_what_does(here: Receiver):
    event_id = here.deliver(created("1")).json()["event_id"]

    unknown_event = run("events", "show", "nonsense")
    unknown_model = run("models", "show", "frud")
    unknown_version = run("explain", "fraud", "9")

    assert {unknown_event.code, unknown_model.code, unknown_version.code} == {1}
    assert f"The newest is {event_id}" in unknown_event.err
    assert "Steward knows no model frud. Did you mean fraud?" in unknown_model.err
    assert "Steward knows no version 9 of fraud; its versions are 1." in unknown_version.err


def test_a_replay_of_one_event_runs_it_again(here: Receiver):
    event_id = die(here)

    planned = run("events", "replay", event_id, "--dry-run")
    replayed = run("events", "replay", event_id, "--reason", "MLflow is back")
    again = run("events", "replay", event_id, "--handler", "validate", "--mode", "all", "--json")

    assert "This is the plan; nothing was done." in planned.out
    assert "validate: dead, runs again. Would judge version 1 again" in planned.all
    assert replayed.code == 0
    assert [step["action"] for step in again.json["steps"]] == ["bring_forward"]


def test_a_replay_by_filter_shows_the_plan_and_wants_a_yes(here: Receiver):
    die(here, "1")
    die(here, "2")
    chosen = ("events", "replay", "--status", "dead", "--type", "model_version.created")

    asked = run(*chosen)
    agreed = run(*chosen, "--yes")
    left = run(*chosen, "--yes")

    assert asked.code == 1
    assert "2 events, 2 dispatches: 2 runs again." in asked.err
    assert "Nothing was replayed: nobody can be asked here. Say --yes" in asked.err
    assert agreed.code == 0
    assert left.code == 1
    assert "No event matches type model_version.created, status dead." in left.all


def test_a_replay_must_say_which_events(here: Receiver):
    both = run("events", "replay", "some-id", "--status", "dead")
    neither = run("events", "replay")
    unknown = run("events", "replay", "--status", "dead", "--handler", "nonsense")

    assert {both.code, neither.code, unknown.code} == {2}
    assert "There is no handler nonsense" in unknown.err


def test_models_are_listed_and_shown_with_verdicts(here: Receiver):
    promote(here, "1")

    listed = run("models", "list")
    shown = run("models", "show", "fraud")

    assert listed.out.splitlines()[1].split()[:3] == ["fraud", "1", "1"]
    assert "1  promoted" in shown.out
    assert "it is better" in shown.out
    assert run("models", "show", "fraud", "--json").json["production"] == "1"


def test_explain_tells_the_chain_and_what_to_do(here: Receiver):
    promote(here, "1")

    told = run("explain", "fraud")

    assert told.code == 0
    assert told.out.startswith("fraud version 1 is in Production.")
    assert "Version 1 was registered (told by a webhook)." in told.out
    assert "Version 1 became Production." in told.out
    assert "Lean back." in told.out
    assert run("explain", "fraud", "--json").json["now"]["is_production"] is True


def test_a_rollback_is_waited_for_until_replicas_serve_it(here: Receiver):
    promote(here, "1")
    promote(here, "2")

    def work() -> None:
        eventually(lambda: any(hint.handler == "rollback" for hint in here.hints))
        told = {"reasons": ["rolled back", "version 7 was passed over: a person rejected it"]}
        done = NewEvent(EventType.ROLLED_BACK, FRAUD, "2", before="2", after="1", data=told)
        finish(here, "rollback", done, champion="1")
        roll_out(here, "1")

    worker = threading.Thread(target=work)
    worker.start()
    ran = run("rollback", "fraud", "--reason", "false alarms", "--timeout", "20s")
    worker.join(20)

    assert ran.code == 0
    assert "Production went back from version 2 to 1." in ran.out
    assert "Version 7 was passed over: a person rejected it." in ran.out
    assert "1 of 1 replicas serve version 1" in ran.out


def test_a_rollback_that_is_skipped_says_why(here: Receiver):
    promote(here, "1")
    promote(here, "2")
    asked = run("rollback", "fraud", "--no-wait", "--json")
    dispatches.record(here.journal, claim(here, "rollback"), Skipped("mode is observe"))

    shown = run("events", "show", asked.json["event_id"])

    assert asked.code == 0
    assert "rollback  skipped: mode is observe" in shown.out


def test_a_rollback_that_nobody_takes_up_is_not_in_time(here: Receiver):
    promote(here, "1")
    promote(here, "2")

    ran = run("rollback", "fraud", "--timeout", "0.2s")

    assert ran.code == 3
    assert "To follow: steward events show " in ran.err


def test_a_rollback_that_cannot_be_is_refused_with_the_reason(here: Receiver):
    promote(here, "1")

    alone = run("rollback", "fraud")
    absent = run("rollback", "fraud", "9")

    assert (alone.code, absent.code) == (1, 1)
    assert "had no Production before" in alone.err
    assert "its versions are 1" in absent.err


def test_a_pause_lasts_until_resumed(here: Receiver):
    here.deliver(created("1"))

    paused = run("pause", "fraud", "--reason", "incident 42")
    listed = run("models", "list")
    wrong = run("resume")
    resumed = run("resume", "fraud")
    again = run("resume", "fraud")

    assert paused.code == 0
    assert "steward resume fraud" in paused.out
    assert "paused" in listed.out
    assert "In force: fraud, by ada" in wrong.err
    assert (resumed.code, again.code) == (0, 1)
    assert "Nothing is paused." in again.err
    assert run("pause", "frod", "--reason", "x").code == 1
    assert run("pause").code == 2


def test_wait_sees_a_verdict_as_it_falls(here: Receiver):
    def work() -> None:
        eventually(lambda: here.app.state.room.watch.count)  # it asked once, and waits now
        promote(here, "1")

    worker = threading.Thread(target=work)
    worker.start()
    ran = run("wait", "fraud", "1", "--for", "promoted", "--timeout", "60s")
    worker.join(20)

    assert ran.code == 0
    assert ran.out.startswith("fraud version 1: promoted: it is better.")
    assert "is not known yet" in ran.err


def test_replicas_are_listed_with_what_they_should_serve(here: Receiver):
    promote(here, "1")
    with here.journal.read() as connection:
        now = here.journal.now(connection)
    beat = Heartbeat("r1", FRAUD, "http://r1", "1", 3, "ready", "b", now, "no such file")
    record_heartbeats(here.journal, [beat])

    ran = run("replicas", "--model", "fraud")

    assert ran.out.splitlines()[1].split()[:6] == ["r1", "fraud", "-", "1", "3", "ready"]
    assert "no such file" in ran.out
    assert len(run("replicas", "--json").json["items"]) == 1


def test_health_is_no_while_something_is_missing(here: Receiver):
    ran = run("health")

    assert ran.code == 1
    assert "No poller runs" in ran.out
    assert run("health", "--json").json["dependencies"]["journal"]["status"] == "ok"


def test_a_viewer_may_look_and_not_touch(here: Receiver, monkeypatch: pytest.MonkeyPatch):
    here.deliver(created("1"))
    secret, _ = audit.create_token(here.journal, owner="vic", role="viewer")
    monkeypatch.setenv("STEWARD_TOKEN", secret)

    assert run("models", "list").code == 0
    refused = run("pause", "fraud", "--reason", "x")

    assert refused.code == 2
    assert "This needs the role operator" in refused.err
    assert "The token of STEWARD_TOKEN was used." in refused.err


def test_the_command_ends_quietly_on_ctrl_c(here: Receiver):
    words = [sys.executable, "-m", "steward.cli", "wait", "fraud", "1"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()

    assert process.returncode == 130
    assert "is not known yet" in first
    assert "Traceback" not in rest


def test_the_command_says_that_steward_is_not_there(here: Receiver):
    nowhere = {**os.environ, "STEWARD_URL": "http://127.0.0.1:1"}

    ran = subprocess.run(
        [sys.executable, "-m", "steward.cli", "health"],
        env=nowhere,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 4
    assert "cannot be reached at http://127.0.0.1:1 (STEWARD_URL)" in ran.stderr


def test_where_steward_only_recommends_replicas_are_compared_with_production(here: Receiver):
    text = "version: 1\npolicies: [{name: mine, match: {models: ['*']}, mode: recommend}]\n"
    policies.activate(here.journal, PolicySet.parse(text), file="steward.yaml")
    here.deliver(created("1"))
    finish(here, "validate", NewEvent(EventType.VALIDATED), champion="1")  # a person's
    held = NewEvent(EventType.HELD, data={"policy": "old@0123456789ab", "reasons": ["recommended"]})
    finish(here, "promote", held)
    for name, version in (("follows", "1"), ("stays", None)):
        beat = Heartbeat(name, FRAUD, "http://127.0.0.1:1", version, 0, "ready", "b", None, None)
        record_heartbeats(here.journal, [beat])

    shown, told = run("models", "show", "fraud").out, run("explain", "fraud").out

    for text in (shown, told):
        assert "Replicas (start with Production, version 1)" in text
        assert "Steward reloads nothing in mode recommend; replicas follow the registry" in text
        assert "(mode recommend)" in text
    assert "policy      mine@" in shown.lower()
    assert "recommended [by old@0123456789ab]" in shown
    assert "Not every replica serves it; they load it when they start again: stays." in told
