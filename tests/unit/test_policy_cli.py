"""``steward policy init | check | which`` as a person at a terminal meets them."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from steward.cli.policy import app
from steward.journal.migrate import upgrade
from steward.journal.policies import activate
from steward.journal.routing import Routing
from steward.journal.store import Journal, open_engine
from steward.policy import Mode, PolicySet
from steward.settings import load_settings

BLOCK = re.compile(r"```yaml\n(version: 1\n.*?)```", re.DOTALL)
DOCS = Path(__file__).parents[2] / "docs/policy.md"
EXAMPLES = DOCS.parents[1] / "examples/policies"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("STEWARD_POLICY_FILE", "STEWARD_MODE", "STEWARD_SLACK_WEBHOOK_URL", "TEAM_URL"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_init_prints_the_built_in_policy() -> None:
    assert run("init").output == PolicySet.built_in().text


def test_init_writes_a_file_that_check_accepts() -> None:
    assert run("init", "--output", "steward.yaml").exit_code == 0

    checked = run("check")

    assert checked.exit_code == 0
    assert "steward.yaml is valid" in checked.output
    assert "when auc beats Production by 0.02 or more" in checked.output


def test_init_replaces_a_file_only_by_force() -> None:
    Path("mine.yaml").write_text("mine")

    assert run("init", "--output", "mine.yaml").exit_code == 2
    assert Path("mine.yaml").read_text() == "mine"
    assert run("init", "--output", "mine.yaml", "--force").exit_code == 0


def test_check_tells_every_error_and_answers_no() -> None:
    Path("bad.yaml").write_text(PolicySet.built_in().text.replace("require:", "requires:"))

    checked = run("check", "bad.yaml")

    assert checked.exit_code == 1
    assert "unknown key 'requires' in policies[0]; did you mean 'require'?" in checked.stderr


def test_check_of_a_file_that_is_away_is_a_usage_error() -> None:
    checked = run("check", "away.yaml")

    assert checked.exit_code == 2
    assert "steward policy init --output away.yaml" in checked.stderr


def test_check_reads_the_file_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("other.yaml").write_text(PolicySet.built_in().text)
    monkeypatch.setenv("STEWARD_POLICY_FILE", "other.yaml")

    assert run("check").output.startswith("other.yaml is valid")


def test_check_warns_of_what_is_not_set_and_still_answers_yes() -> None:
    Path("steward.yaml").write_text(
        'version: 1\nchannels: {team: {slack: "${TEAM_URL}"}}\npolicies:\n'
        "  - {name: a, match: {}, mode: act,"
        " notify: [{events: [rollout.failed], to: [team, email]}]}\n"
        "  - {name: b, match: {}, mode: act}\n"
    )

    checked = run("check")

    assert checked.exit_code == 0
    assert checked.stderr.splitlines() == [
        "Warning: policy 'b' never governs: one before it matches every model",
        "Warning: channel team: ${TEAM_URL} is used but not set in the environment.",
        "Warning: channel email is not configured in the settings",
    ]


def test_which_says_the_policy_the_pattern_and_the_mode_under_the_ceiling(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policies = PolicySet.built_in()
    Path("steward.yaml").write_text(policies.text)
    monkeypatch.setenv("STEWARD_MODE", "recommend")

    answer = json.loads(run("which", "churn", "--file", "steward.yaml", "--json").output)

    assert answer["ref"] == f"default@{policies.hash[:12]}"
    assert answer["pattern"] == "*"
    assert (answer["mode"], answer["policy_mode"], answer["ceiling"]) == (
        "recommend",
        "act",
        "recommend",
    )


def test_which_in_words_names_the_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("steward.yaml").write_text(PolicySet.built_in().text)
    monkeypatch.setenv("STEWARD_POLICY_FILE", "steward.yaml")
    monkeypatch.setenv("STEWARD_MODE", "observe")

    said = run("which", "churn").output

    assert "churn is governed by default@" in said
    assert "Mode:  observe (the policy says act; STEWARD_MODE is the ceiling)." in said


def test_which_without_a_file_says_that_every_model_is_observed() -> None:
    said = run("which", "churn")

    assert said.exit_code == 0
    assert "No policy governs churn." in said.output
    assert "there is no policy file (STEWARD_POLICY_FILE)" in said.output


def test_which_asks_for_the_tags_that_a_policy_needs() -> None:
    Path("p.yaml").write_text(
        "version: 1\npolicies:\n  - {name: risk, match: {tags: {team: risk}}, mode: act}\n"
    )

    assert "risk also asks for tags" in run("which", "m", "--file", "p.yaml").output
    governed = run("which", "m", "--file", "p.yaml", "--tag", "team=risk")
    assert "governed by risk@" in governed.output
    assert run("which", "m", "--file", "p.yaml", "--tag", "team").exit_code == 2


def test_a_wrong_setting_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEWARD_MODE", "sometimes")

    checked = run("check")

    assert checked.exit_code == 2
    assert "STEWARD_MODE" in checked.stderr


def test_every_policy_in_the_documentation_is_valid() -> None:
    blocks = BLOCK.findall(DOCS.read_text(encoding="utf-8"))

    assert blocks
    for block in blocks:
        PolicySet.parse(block)


def test_which_answers_for_the_policy_that_the_installation_acts_by() -> None:
    journal = Journal(open_engine(load_settings().journal_url), Routing({}))
    upgrade(journal)
    activate(journal, PolicySet.built_in(), file="built-in policy")
    journal.close()

    assert "churn is governed by default@" in run("which", "churn").output


def test_the_documentation_shows_what_the_commands_print() -> None:
    documented = DOCS.read_text(encoding="utf-8")

    printed = [
        run("init", "--output", "steward.yaml").output,
        run("check", "steward.yaml").output,
        run("which", "churn", "--file", str(EXAMPLES / "fraud.yaml")).output,
    ]

    for output in printed:
        assert output.strip() in documented
    for example in re.findall(r"fraud@([0-9a-f]{12})", documented):
        assert PolicySet.load(EXAMPLES / "fraud.yaml").hash.startswith(example)


def test_a_policy_can_be_started_in_a_mode_that_only_looks(tmp_path: Path):
    file = tmp_path / "steward.yaml"

    run("init", "--mode", "observe", "--output", str(file))

    assert [policy.mode for policy in PolicySet.load(file).policies] == [Mode.OBSERVE]


@pytest.mark.parametrize(
    ("name", "remark"),
    [("ml-leeds", "ml-leeds is no group (is ml-leads meant?)"), ("cleo", None), ("ml-leads", None)],
)
def test_a_person_who_is_named_nearly_like_a_group_is_pointed_out(name: str, remark: str | None):
    policy = """\
version: 1
groups: {ml-leads: [ada]}
policies:
  - name: p
    match: {models: ["*"]}
    mode: act
    production: {stage: Production}
    metrics: {auc: {names: [test_auc], better: higher}}
    promote: {when: {metric: auc, margin: 0.02}, approval: {from: [NAME], expires_hours: 1}}
"""
    Path("steward.yaml").write_text(policy.replace("NAME", name), encoding="utf-8")

    told = run("check", "steward.yaml").output

    assert "expires after 1 hour\n" in told
    assert ("is no group" in told) == (remark is not None)
    assert (remark or "") in told


def warned(**sections: str) -> str:
    """What `check` says to standard error about the built-in policy with these sections."""
    extra = "".join(f"    {key}: {value}\n" for key, value in sections.items())
    text = f"""\
version: 1
groups: {{risk-leads: [ada]}}
policies:
  - name: p
    match: {{models: ["*"]}}
    mode: act
    production: {{stage: Production}}
    metrics: {{auc: {{names: [test_auc], better: higher}}}}
{extra}"""
    Path("steward.yaml").write_text(text, encoding="utf-8")
    checked = run("check", "steward.yaml")
    assert checked.exit_code == 0, checked.output
    return checked.stderr


def test_check_warns_of_a_name_that_is_nearly_a_group() -> None:
    near = warned(promote="{first_version: approval, approval: {from: [riskleads-team]}}")
    person = warned(promote="{first_version: approval, approval: {from: [ada, maria]}}")

    assert "approval.from names riskleads-team, which is no group of the file" in near
    assert "is risk-leads meant?" in near
    assert person == ""


def test_check_warns_of_a_file_that_is_not_on_this_machine() -> None:
    Path("here.csv").write_text("x,y\n" + "1,0\n2,1\n" * 5)
    holdout = "{holdout: {uri: %s, label: y, metric: auc, reference: %s}}"

    missing = warned(checks=holdout % ("gone.parquet", "file:///nowhere/gone.csv"))
    there = warned(checks=holdout % ("here.csv", "s3://bucket/train.parquet"))

    assert "checks.holdout.uri gone.parquet is no file on this machine" in missing
    assert str(Path("gone.parquet").absolute()) in missing
    assert "checks.holdout.reference file:///nowhere/gone.csv is no file" in missing
    assert there == ""


def test_check_opens_a_holdout_that_is_a_file_and_says_what_a_judgement_would_meet() -> None:
    Path("here.csv").write_text("x,fraud\n1,0\n2,1\n")
    checks = "{holdout: {uri: here.csv, label: is_fraud, metric: auc}}"

    assert warned(checks=checks) == (
        "Warning: policy 'p': every version would be held, as check_incomplete: here.csv has no "
        "column is_fraud (the label); it has x, fraud\n"
    )
    assert run("check", "--no-open").stderr == ""


def test_check_opens_a_store_only_where_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    checks = "{holdout: {uri: 'runs:/r1/holdout/rows.parquet', label: y, metric: auc}}"

    assert warned(checks=checks) == ""
    address = "runs:/r1/holdout/rows.parquet"
    assert f"Not looked into: {address} of policy 'p'; --open does." in run("check").stdout
    assert "Not looked into" not in run("check", "--no-open").stdout
    assert run("check", "--open").stderr.startswith(
        "Warning: policy 'p': its rows cannot be looked at from here: MLFLOW_TRACKING_URI is not"
    )


def test_a_reference_in_a_store_does_not_keep_the_holdout_from_being_opened() -> None:
    Path("here.csv").write_text("x,y\n" + "1,0\n" * 5)
    checks = (
        "{holdout: {uri: here.csv, label: y, metric: auc, reference: 's3://far/then.csv'}, "
        "drift: {psi_max: 0.2}}"
    )

    (told,) = warned(checks=checks).splitlines()

    assert "quality.roc_auc: is not defined on these rows: all have the same label" in told


@pytest.mark.parametrize(
    ("freeze", "is_endless"),
    [
        ('[{cron: "0 0 * * *", hours: 24}]', True),
        ('[{cron: "0 0 * * *", hours: 12}, {cron: "0 12 * * *", hours: 12}]', True),
        ('[{cron: "0 18 * * fri", hours: 62}]', False),
    ],
)
def test_check_warns_of_a_freeze_that_never_ends(freeze: str, is_endless: bool) -> None:
    assert ("its freeze never ends" in warned(freeze=freeze)) == is_endless
