"""``explain --at``, ``lineage``, ``compare`` and ``models versions`` at a person's shell."""

from datetime import UTC, datetime

from tests.cli_support import run
from tests.deliveries import created
from tests.integration.receiver_support import Receiver
from tests.integration.test_cli import here as here_at_a_shell
from tests.integration.test_receiver_accounts import hold, promote, validate

here = here_at_a_shell


def test_explain_prints_each_subject(here: Receiver):
    promote(here, "1", "0.8")
    promote(here, "2", "0.9", before="1")

    told = run("explain", "fraud").out

    subjects = told.split("By subject")[1].split("What happened")[0]
    assert "by ada (as its run says), run run-0.9; told by a webhook" in subjects
    assert "pass: metric auc: test_auc 0.9 is known" in subjects
    assert "version 2: auc 0.9 (logged as test_auc), on holdout against version 1" in subjects
    assert "r2 failed: no" in subjects
    assert "f1=0.6" in subjects
    assert "steward rollback fraud 1" in subjects


def test_explain_at_a_time_tells_what_was_production_then(here: Receiver):
    promote(here, "1", "0.8")
    between = datetime.now(UTC).isoformat()
    promote(here, "2", "0.9", before="1")

    then = run("explain", "fraud", "--at", between)
    before = run("explain", "fraud", "1", "--at", "2026-01-01")

    assert then.code == 0
    assert ": version 1 was Production." in then.out.splitlines()[0]
    assert "Version 2 became Production" not in then.out
    assert "it is unknown what Production was" in before.out
    assert "was not registered yet" in before.out


def test_a_wrong_time_is_a_usage_error(here: Receiver):
    here.deliver(created("1"))

    nonsense = run("explain", "fraud", "--at", "yesterday")
    future = run("explain", "fraud", "--at", "2999-01-01")

    assert (nonsense.code, future.code) == (2, 2)
    assert "is no time; write how long ago" in nonsense.all
    assert "has not come yet" in future.all


def test_lineage_prints_each_kind_and_says_what_is_not_recorded(here: Receiver):
    cards = {"name": "cards", "digest": "d1", "context": "training"}
    validate(here, "1", "0.8", {"team": "risk"}, params={"C": "1"}, inputs=[cards])

    told = run("lineage", "fraud")
    unknown = run("lineage", "fraud", "9")

    assert told.code == 0
    assert "cards (training)  d1" in told.out
    assert "0.8 (logged as test_auc) on holdout" in told.out
    assert told.out.split("Environment")[1].strip().startswith("not recorded: the policy runs")
    assert run("lineage", "fraud", "1", "--json").json["params"] == {"C": "1"}
    assert unknown.code == 1
    assert "Steward knows no version 9 of fraud; its versions are 1." in unknown.err


def test_a_comparison_marks_what_differs(here: Receiver):
    validate(here, "1", "0.8", params={"C": "1", "seed": "7"})
    validate(here, "2", "0.9", params={"C": "2", "seed": "7"})

    told = run("compare", "fraud", "1", "2")
    short = run("compare", "fraud", "1", "2", "--only-differences")
    itself = run("compare", "fraud", "1", "1")

    lines = [line.split() for line in told.out.splitlines()]
    assert ["*", "C", "1", "2"] in lines
    assert ["seed", "7", "7"] in lines
    assert "seed" not in short.out
    assert run("compare", "fraud", "1", "2", "--json").json["groups"]["params"][0]["differs"]
    assert itself.code == 2


def test_versions_are_searched_and_none_is_exit_code_one(here: Receiver):
    hold(here, "1", "0.8", team="risk")
    hold(here, "2", "0.9", team="risk")

    some = run("models", "versions", "fraud", "--metric", "auc>=0.9", "--tag", "team=risk")
    none = run("models", "versions", "fraud", "--metric", "auc>=0.95")
    wrong = run("models", "versions", "fraud", "--metric", "auc=>0.95")

    assert [line.split()[:3] for line in some.out.splitlines()[1:]] == [["2", "None", "held"]]
    assert (none.code, none.out) == (1, "No version matches.\n")
    assert wrong.code == 2
    assert "expected NAME, one of >= <= > < = !=, and a number" in wrong.all


def test_versions_are_listed_up_to_a_limit_with_a_way_on(here: Receiver):
    for number in ("1", "2", "3"):
        here.deliver(created(number))

    page = run("models", "versions", "fraud", "--limit", "2", "--json").json

    assert [item["version"] for item in page["items"]] == ["3", "2"]
    assert page["next_cursor"] == "2"


def test_a_list_of_versions_goes_on_where_it_ended_and_all_is_all(here: Receiver):
    for number in ("1", "2", "3"):
        here.deliver(created(number))

    first = run("models", "versions", "fraud", "--limit", "2")
    rest = run("models", "versions", "fraud", "--cursor", "2", "--json").json
    everything = run("models", "versions", "fraud", "--limit", "1", "--all", "--json").json
    wrong = run("models", "versions", "fraud", "--cursor", "x")

    assert "There are more: --all, or --cursor 2" in first.all
    assert ([each["version"] for each in rest["items"]], rest["next_cursor"]) == (["1"], None)
    assert [each["version"] for each in everything["items"]] == ["3", "2", "1"]
    assert wrong.code == 2
