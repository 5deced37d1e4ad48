"""What `explain` tells to do, done: against a real receiver over real HTTP."""

import re
import shlex
from datetime import UTC, datetime, timedelta

from handlers import next_steps
from steward.events import EventType, NewEvent
from steward.journal import dispatches, queries
from steward.ports import Wait
from tests.cli_support import run
from tests.deliveries import created
from tests.integration.receiver_support import Receiver
from tests.integration.test_cli import finish
from tests.integration.test_cli import here as here_at_a_shell
from tests.integration.test_receiver_api import claim
from tests.unit.world import make_policy

here = here_at_a_shell


def test_the_replay_that_is_advised_after_a_check_that_could_not_be_made_runs_it_again(
    here: Receiver,
) -> None:
    event_id = here.deliver(created("1")).json()["event_id"]
    with here.journal.read() as connection:
        judged = queries.get_event(connection, event_id)
    assert judged is not None
    steps = next_steps.after("check_incomplete", judged, make_policy())
    told = {"verdict": "held", "code": "check_incomplete", "reasons": ["no rows"], "next": steps}
    finish(here, "validate", NewEvent(EventType.HELD, data=told))

    explained = run("explain", "fraud", "1").out
    advised = re.search(r"When the cause is gone: steward (events replay .*)", explained)
    assert advised
    replayed = run(*shlex.split(advised[1]))

    assert replayed.code == 0
    assert "validate: succeeded, runs again." in replayed.out


def test_a_version_that_waits_for_a_tag_is_explained_with_the_tag_to_set(here: Receiver) -> None:
    here.deliver(created("1"))
    until = datetime.now(UTC) + timedelta(hours=1)
    wait = Wait(until, "waiting for tag validated until 14:32 UTC")
    dispatches.record(here.journal, claim(here, "validate"), wait)

    explained = run("explain", "fraud", "1").out

    todo = explained.partition("What to do\n")[2]
    assert todo.startswith("  Set the tag validated of the version in MLflow.")
    assert "Wait: steward wait fraud 1" in todo


def test_a_pause_is_told_with_each_version_and_in_health(here: Receiver) -> None:
    here.deliver(created("1"))
    assert "Paused" not in run("explain", "fraud", "1").out
    assert "Paused" not in run("health").out

    assert run("pause", "fraud", "--reason", "we look at it").code == 0

    assert "Paused   by ada: we look at it" in run("explain", "fraud", "1").out
    assert "Paused: fraud, by ada" in run("health").out
    assert run("health", "--json").json["paused"][0]["reason"] == "we look at it"


def test_a_version_in_a_freeze_is_explained_with_what_passes_it(here: Receiver) -> None:
    note = "frozen until 2026-12-01 00:00 UTC; would be promoted: it is better"
    here.deliver(created("1"))
    finish(here, "validate", NewEvent(EventType.VALIDATED))
    until = datetime.now(UTC) + timedelta(hours=1)
    dispatches.record(here.journal, claim(here, "promote"), Wait(until, note))

    assert "all the same: steward promote fraud 1" in run("explain", "fraud", "1").out
