"""Which policy governs a model, who is told, and what a policy says of itself."""

import hashlib
import pickle
from decimal import Decimal
from pathlib import Path

import pytest

import handlers
from steward.errors import ConfigurationError
from steward.events import ModelRef
from steward.policy import ChannelSpec, Mode, PolicySet, tag_matches
from steward.policy.checks import TOLD, TOLD_AFTER_ROLLOUT
from steward.policy.installed import (
    channel_recipients,
    channel_url,
    policies_in_force,
    settings_channels,
)
from steward.policy.summary import describe, never_governs
from steward.settings import load_settings

EXAMPLES = sorted((Path(__file__).parents[2] / "examples/policies").glob("*.yaml"))

TEXT = """\
version: 1
channels:
  team: {slack: "${TEAM_URL}"}
  mail: {email: [a@example.com, "${MORE}"]}
policies:
  - name: tagged
    match: {models: ["*"], tags: {team: [risk, fraud], live: true}}
    mode: act
  - name: fraud
    match: {models: ["fraud-*", special], except: ["*-sandbox"]}
    mode: recommend
    notify:
      - {events: [promotion.held], to: [mail, slack]}
      - {events: [promotion.held, model_version.promoted], to: [team, mail]}
      - {events: [rollout.failed], to: all}
  - name: eu
    match: {registry: "eu-*", workspace: "prod*"}
    mode: observe
"""


@pytest.fixture
def policies() -> PolicySet:
    return PolicySet.parse(TEXT)


@pytest.mark.parametrize(
    ("model", "tags", "name"),
    [
        (ModelRef("fraud-card"), {}, "fraud"),
        (ModelRef("special"), {}, "fraud"),
        (ModelRef("Fraud-card"), {}, "none"),
        (ModelRef("fraud-card-sandbox"), {}, "none"),
        (ModelRef("fraud-card"), {"team": "risk", "live": "True"}, "tagged"),
        (ModelRef("fraud-card"), {"team": "risk", "live": "1"}, "fraud"),
        (ModelRef("fraud-card"), {"team": "search", "live": "true"}, "fraud"),
        (ModelRef("churn", "eu-west", "prod-1"), {}, "eu"),
        (ModelRef("churn", "eu-west", ""), {}, "none"),
        (ModelRef("churn"), {}, "none"),
    ],
)
def test_the_first_policy_that_matches_governs(
    policies: PolicySet, model: ModelRef, tags: dict[str, str], name: str
) -> None:
    assert policies.governing(model, tags).name == name


def test_a_model_without_a_policy_is_observed_and_told_to_nobody(policies: PolicySet) -> None:
    policy = policies.governing(ModelRef("churn"))

    assert (policy.name, policy.mode, policy.metrics) == ("none", Mode.OBSERVE, {})
    assert policies.channels_for(ModelRef("churn"), "rollout.failed", available=["slack"]) == ()


@pytest.mark.parametrize(
    ("event", "channels"),
    [
        ("promotion.held", ("mail", "slack", "team")),
        ("model_version.promoted", ("team", "mail")),
        ("rollout.finished", ("team", "mail")),
        ("rollout.failed", ("team", "mail", "slack", "apprise")),
        ("model_version.rejected", ()),
    ],
)
def test_channels_are_told_what_they_asked_for_once_and_in_order(
    policies: PolicySet, event: str, channels: tuple[str, ...]
) -> None:
    model = ModelRef("fraud-card")

    told = policies.channels_for(model, event, available=["slack", "apprise"])

    assert told == channels


def test_an_event_about_no_model_is_told_to_whoever_any_policy_tells(policies: PolicySet) -> None:
    assert policies.channels_for(None, "rollout.failed") == ("team", "mail")


def test_people_are_told_of_exactly_the_events_that_route_to_notify() -> None:
    routed = {event for event, names in handlers.ROUTES.items() if "notify" in names}

    assert routed == TOLD
    assert not routed & TOLD_AFTER_ROLLOUT


def test_the_hash_is_the_files_own_and_names_each_decision(tmp_path: Path) -> None:
    file = tmp_path / "steward.yaml"
    file.write_bytes(TEXT.replace("\n", "\r\n").encode())

    loaded = PolicySet.load(file)

    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert loaded.hash == digest
    assert loaded.governing(ModelRef("special")).ref == f"fraud@{digest[:12]}"
    assert loaded.governing(ModelRef("churn")).ref == f"none@{digest[:12]}"
    assert loaded.policies[0].file_hash == digest


def test_the_same_text_has_the_same_hash_and_another_comment_another(policies: PolicySet) -> None:
    assert PolicySet.parse(TEXT) == policies
    assert PolicySet.parse(TEXT + "# a comment\n").hash != policies.hash


def test_a_policy_survives_the_way_to_another_process(policies: PolicySet) -> None:
    copy = pickle.loads(pickle.dumps(policies.policies[1]))  # noqa: S301  # our own bytes

    assert copy == policies.policies[1]
    assert copy.ref == policies.policies[1].ref


@pytest.mark.parametrize("text", ["0.02", "0.1", "0.020", "0.000000001"])
def test_a_margin_is_the_number_that_was_written(text: str) -> None:
    changed = PolicySet.built_in().text.replace("margin: 0.02", f"margin: {text}")

    when = PolicySet.parse(changed).policies[0].promote.when

    assert when
    assert when.margin == Decimal(text)


def test_the_built_in_policy_is_the_documented_one() -> None:
    policy = PolicySet.built_in().governing(ModelRef("any"))

    assert policy.mode is Mode.ACT
    assert policy.metrics["auc"].names == ("test_auc", "roc_auc")
    assert policy.metrics["auc"].from_ == "any"
    assert policy.require.metrics["auc"].min == Decimal("0.85")
    assert policy.promote.when
    assert policy.promote.when.margin == Decimal("0.02")
    assert policy.promote.first_version == "promote"
    assert policy.production.stage == "Production"
    assert policy.production.mirror_alias == "champion"
    assert policy.production.archive_previous
    assert policy.wait_seconds == 3600
    assert policy.reload.strategy == "all"


def test_the_built_in_policy_tells_every_configured_channel() -> None:
    policies = PolicySet.built_in()

    for event in TOLD | TOLD_AFTER_ROLLOUT:
        assert policies.channels_for(ModelRef("m"), event, available=["slack"]) == ("slack",)


@pytest.mark.parametrize(
    ("expected", "actual", "matches"),
    [
        (True, "True", True),
        (True, "true", True),
        (True, "TRUE", False),
        (True, "1", False),
        (False, "False", True),
        ("true", "True", False),
        ("3", "3", True),
        (("a", True), "true", True),
        (("a", "b"), "c", False),
        ("a", None, False),
        (False, None, False),
    ],
)
def test_a_tag_matches_its_value(
    expected: bool | str | tuple[bool | str, ...], actual: str | None, matches: bool
) -> None:
    assert tag_matches(expected, actual) is matches


def test_tag_values_keep_what_was_written() -> None:
    text = TEXT.replace("live: true", "live: true, n: 1.10, q: 'true', l: [7, x]")

    tags = PolicySet.parse(text).policies[0].match.tags

    assert tags == {
        "team": ("risk", "fraud"),
        "live": True,
        "n": "1.10",
        "q": "true",
        "l": ("7", "x"),
    }


def test_the_lower_of_two_modes_is_the_more_careful() -> None:
    assert Mode.lowest(Mode.ACT, Mode.OBSERVE) is Mode.OBSERVE
    assert Mode.lowest("recommend", Mode.ACT) is Mode.RECOMMEND
    assert Mode.lowest(Mode.ACT, None) is Mode.ACT


def test_channels_of_the_settings_exist_without_a_file() -> None:
    settings = load_settings(
        slack_webhook_url="https://hooks.example/s3cret",
        smtp_url="smtp://mail.example",
        email_to="a@example.com,b@example.com",
        notify_urls="json://one,json://two",
    )

    channels = settings_channels(settings)

    assert list(channels) == ["slack", "email", "apprise", "apprise-2"]
    assert channel_url(channels["slack"]) == "https://hooks.example/s3cret"
    assert channel_recipients(channels["email"]) == ("a@example.com", "b@example.com")
    assert channel_url(channels["apprise-2"]) == "json://two"
    assert "s3cret" not in repr(channels)


def test_references_are_filled_in_only_when_asked(
    policies: PolicySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_URL", "https://hooks.example/1")
    monkeypatch.setenv("MORE", "b@example.com, c@example.com")

    assert channel_url(policies.channels["team"]) == "https://hooks.example/1"
    assert channel_recipients(policies.channels["mail"]) == (
        "a@example.com",
        "b@example.com",
        "c@example.com",
    )
    assert policies.channels["mail"].addresses == ("a@example.com", "${MORE}")


def test_a_reference_that_is_not_set_is_named(
    policies: PolicySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEAM_URL", raising=False)

    with pytest.raises(ConfigurationError, match=r"\$\{TEAM_URL\} is used but not set"):
        channel_url(policies.channels["team"])


def test_a_declared_channel_knows_its_kind(policies: PolicySet) -> None:
    assert policies.channels["mail"] == ChannelSpec(
        "mail", "email", addresses=("a@example.com", "${MORE}")
    )
    assert policies.channels["team"].kind == "slack"


def test_the_file_of_the_settings_is_in_force_then_the_built_in_policy_then_none(
    tmp_path: Path,
) -> None:
    file = tmp_path / "steward.yaml"
    file.write_text(TEXT)

    assert policies_in_force(load_settings(policy_file=file)).hash == PolicySet.parse(TEXT).hash
    assert policies_in_force(load_settings(built_in_policy=True)) == PolicySet.built_in()
    assert policies_in_force(load_settings()).policies == ()


def test_a_file_that_is_away_or_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigurationError, match=r"away\.yaml: No such file or directory"):
        PolicySet.load(tmp_path / "away.yaml")
    with pytest.raises(ConfigurationError, match="not UTF-8 text"):
        PolicySet.load(tmp_path / "binary")


def test_a_policy_after_one_for_every_model_never_governs(policies: PolicySet) -> None:
    second = '  - {name: late, match: {models: ["x"]}, mode: act}\n'
    everything = '  - {name: all, match: {models: ["*"]}, mode: act}\n'

    assert never_governs(policies) == []
    assert never_governs(PolicySet.parse(TEXT + everything + second)) == ["late"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_valid_and_can_be_told_in_sentences(example: Path) -> None:
    for policy in PolicySet.load(example).policies:
        assert dict(describe(policy, policy.mode))["governs"]
