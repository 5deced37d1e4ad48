"""Two versions in the stage of Production are seen wherever one would look."""

from steward.events import EventType, NewEvent
from steward.journal import dispatches
from steward.journal.looking import look
from steward.ports import Done
from tests.cli_support import run
from tests.deliveries import created
from tests.integration.receiver_support import Receiver
from tests.integration.test_cli import here as here_at_a_shell
from tests.integration.test_receiver_api import FRAUD, claim

here = here_at_a_shell
DETAIL = "versions 3 and 12 are both in Production; only one can be"


def put(here: Receiver, version: str, stage: str, *events: NewEvent) -> None:
    """A version, in a stage as the registry was read."""
    here.deliver(created(version))
    claimed = claim(here, "validate")
    reading = look(here.journal, FRAUD).reading(version, "stage", stage)
    here.hints.extend(dispatches.record(here.journal, claimed, Done(events, (reading,))))


def test_two_in_production_are_named_in_the_list_the_model_and_the_account(here: Receiver) -> None:
    told = {"violation": "two_in_production", "detail": DETAIL}
    put(here, "3", "Production")
    put(here, "4", "Archived")
    put(here, "12", "Production", NewEvent(EventType.POLICY_VIOLATED, FRAUD, "12", data=told))

    explained = run("explain", "fraud", "12").out

    assert "two in Production: 3 and 12" in run("models", "list").out
    assert "two in Production: 3 and 12" in run("models", "show", "fraud").out
    assert "version 12 is one of those that are in Production together: 3 and 12" in explained
    assert f"The policy was violated: {DETAIL}." in explained
    assert "Leave one of 3 and 12 in Production" in explained


def test_one_in_production_is_no_crowd(here: Receiver) -> None:
    put(here, "3", "Production")
    put(here, "4", "Archived")

    shown = run("models", "show", "fraud", "--json").json

    assert shown["several_in_production"] == []
    assert "in Production:" not in run("models", "list").out
