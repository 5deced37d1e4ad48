"""A policy file with an error is refused with the line and a sentence; anything else parses."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.errors import ConfigurationError
from steward.policy import PolicySet

F1 = "holdout: {uri: a.csv, label: y, metric: f1}"
GOOD = """\
version: 1
channels:
  team: {slack: "${TEAM_SLACK_URL}"}
policies:
  - name: fraud
    match: {models: ["fraud-*"]}
    mode: act
    production: {stage: Production}
    metrics:
      auc: {names: [test_auc], better: higher}
    require:
      metrics: {auc: {min: 0.85}}
    promote:
      when: {metric: auc, margin: 0.02}
    notify:
      - {events: [model_version.promoted], to: [team]}
"""

# What is replaced in GOOD, by what, and the beginning of what is said about it.
BAD = {
    # keys
    ("    require:", "    requires:"): "line 11: unknown key 'requires' in policies[0]; "
    "did you mean 'require'?",
    ("better: higher", "better: higher, colour: red"): "line 10: unknown key 'colour' in "
    "policies[0].metrics.auc; known are: names, better, dataset, if_several, from",
    (
        "    mode: act\n",
        "",
    ): "line 5: 'mode' is missing in policies[0]; say observe, recommend or act",
    ('    match: {models: ["fraud-*"]}\n', ""): "line 5: policy 'fraud' needs match",
    ("version: 1\n", ""): "line 1: 'version' is missing in the file",
    ("version: 1\n", "version: 2\n"): "line 1: version must be '1'; it is '2'",
    (
        "    mode: act",
        "    name: twice",
    ): "line 7: the key 'name' stands twice; the first is on line 5",
    ("events: [", "on: ["): "line 16: YAML reads `on` as true; use events",
    # values
    (
        "mode: act",
        "mode: actt",
    ): "line 7: policies[0].mode must be 'observe', 'recommend' or 'act'; it is 'actt'",
    ("mode: act", "mode:"): "line 7: policies[0].mode is empty",
    (", better: higher", ""): "line 10: 'better' is missing in policies[0].metrics.auc; "
    "say higher or lower",
    ("better: higher", "better: up"): "line 10: policies[0].metrics.auc.better must be 'higher' or "
    "'lower'; it is 'up'",
    (
        "[test_auc]",
        "[training_auc]",
    ): "line 10: policies[0].metrics.auc.names[0]: 'training_auc' is measured on the training data",
    ("[test_auc]", "[]"): "line 10: policies[0].metrics.auc.names must not be empty",
    ("[test_auc]", "test_auc"): "line 10: policies[0].metrics.auc.names must be a list",
    ("margin: 0.02", "margin: -0.02"): "line 14: policies[0].promote.when.margin must be greater "
    "than or equal to 0 (it is '-0.02')",
    (
        "margin: 0.02",
        "margin: much",
    ): "line 14: policies[0].promote.when.margin must be a valid decimal",
    ("margin: 0.02", "margin: .nan"): "line 14: policies[0].promote.when.margin must be a",
    ("margin: 0.02", "margin: 1e999999999"): "line 14: policies[0].promote.when.margin",
    ("margin: 0.02", "margin: 1e-999999999"): "line 14: policies[0].promote.when.margin",
    ("mode: act", "mode: act\n    wait_seconds: -1"): "line 8: policies[0].wait_seconds must be "
    "greater than or equal to 0",
    ("name: fraud", "name: fraud@home"): "line 5: policies[0].name",
    ("name: fraud", "name: none"): "line 5: 'none' names what governs models without a policy",
    ("    require:\n", "    require:\n      tag_patterns: {t: '['}\n"): "line 12: "
    "policies[0].require.tag_patterns.t: '[' is not a regular expression",
    (
        "    require:\n",
        "    require:\n      tags: {t: {}}\n",
    ): "line 12: policies[0].require.tags.t: a tag's value is a word",
    ("    require:\n", "    require:\n      lineage: [commit]\n"): "line 12: "
    "policies[0].require.lineage[0] must be 'git_commit'",
    # parts that do not fit together
    ("{auc: {min", "{acu: {min"): "line 12: metric 'acu' is not declared in metrics; "
    "did you mean 'auc'?",
    (
        "metric: auc",
        "metric: f1",
    ): "line 14: metric 'f1' is not declared in metrics; known are: auc",
    ("0.02}", "0.02}\n      not_worse: {loss: 0.1}"): "line 15: metric 'loss' is not declared",
    ("0.02}", "0.02, margin_relative: 0.1}"): "line 14: promote.when has both of margin and",
    (", margin: 0.02", ""): "line 14: promote.when has neither of margin and margin_relative",
    ("{min: 0.85}", "{}"): "line 12: require.metrics.auc needs min or max",
    ("{min: 0.85}", "{min: 0.85, max: 0.8}"): "line 12: require.metrics.auc: min is above max",
    (
        "better: higher",
        "better: higher, dataset: d, from: tags",
    ): "line 10: metrics.auc: a tag does not know its dataset",
    # production
    ("{stage: Production}", "{stage: Production, alias: champion}"): "line 8: production has both "
    "stage and alias: name one as the truth",
    ("{stage: Production}", "{mirror_alias: champion}"): "line 8: production has neither",
    ("{stage: Production}", "{stage: Production, mirror_stage: Staging}"): "line 8: mirror_stage "
    "cannot follow",
    (
        "{stage: Production}",
        "{stage: Live}",
    ): "line 8: policies[0].production.stage must be 'Staging'",
    ("{stage: Production}", "{alias: v3}"): "line 8: policies[0].production.alias: 'v3' cannot be",
    ("{stage: Production}", "{alias: previous_champion}"): "line 8: the alias previous_champion is",
    (
        "{stage: Production}",
        "{alias: live, archive_previous: true}",
    ): "line 8: archive_previous moves",
    (
        "    production: {stage: Production}\n",
        "",
    ): "line 5: policy 'fraud' promotes: it needs production",
    # people
    ("to: [team]", "to: [teem]"): "line 16: unknown channel 'teem'; did you mean 'team'?",
    ("to: [team]", "to: {}"): "line 16: policies[0].notify[0].to must be a list",
    ("version.promoted", "version.promotd"): "line 16: unknown event type 'model_version.promotd'; "
    "did you mean 'model_version.promoted'?",
    ("version.promoted", "version.created"): "line 16: people are not told of "
    "'model_version.created'",
    (
        '"${TEAM_SLACK_URL}"',
        "https://example.com/s3cret",
    ): "line 3: channels.team.slack is a secret: "
    'write it as ${NAME}, as in "${TEAM_SLACK_URL}"; secrets only as ${ENV}',
    ("team: {slack:", "team: {slak:"): "line 3: unknown key 'slak' in channels.team; "
    "did you mean 'slack'?",
    (
        "team: {slack",
        'team: {apprise: "${X}", slack',
    ): "line 3: channel 'team' needs exactly one of",
    (
        "  team: {",
        "  mail: {email: [nobody]}\n  team: {",
    ): "line 3: 'nobody' is not an email address",
    ("  team: {", '  all: {slack: "${X}"}\n  team: {'): "line 3: a channel cannot be named 'all'",
    # what is examined
    ("mode: act", "mode: act\n    checks: {}"): "line 8: checks is empty",
    ("mode: act", "mode: act\n    checks: {latency: {p95_ms: 5}}"): "line 8: checks.latency needs "
    "rows: name checks.holdout (uri, label, metric)",
    (
        "mode: act",
        "mode: act\n    checks: {holdout: {uri: a.csv, label: y, metric: lift}}",
    ): "line 8: 'lift' cannot be computed; known are: roc_auc",
    (
        "mode: act",
        "mode: act\n    checks: {quality: {f1: {}}, holdout: {uri: a.csv, label: y, metric: f1}}",
    ): "line 8: checks.quality.f1 needs min or max",
    (
        "mode: act",
        f"mode: act\n    checks: {{quality: {{f1: {{min: 0}}, f1_score: {{max: 1}}}}, {F1}}}",
    ): "line 8: checks.quality bounds f1 twice: as f1 and as f1_score",
    (
        "mode: act",
        f"mode: act\n    checks: {{fairness: {{attribute: a}}, {F1}}}",
    ): "line 8: checks.fairness needs equalized_odds_difference_max or demographic_parity_",
    (
        "mode: act",
        f"mode: act\n    checks: {{latency: {{p95_ms: null}}, {F1}}}",
    ): "line 8: checks.latency needs p95_ms or ratio_max or p99_ratio_max",
    (
        GOOD[GOOD.index("      auc:") : GOOD.index("    notify:")],
        (
            f"      profit: {{names: [profit], better: higher}}\n    checks: {{{F1}}}\n"
            "    promote:\n      when: {metric: profit, margin: 20}\n"
        ),
    ): "line 13: 'profit' cannot be computed; known are: roc_auc",
    (
        GOOD[GOOD.index("      auc:") : GOOD.index("    notify:")],
        (
            f"      loss: {{names: [log_loss], better: higher}}\n    checks: {{{F1}}}\n"
            "    promote:\n      when: {metric: loss, margin: 0.1}\n"
        ),
    ): "line 13: metrics.loss says higher is better; of log_loss it is not",
    ("0.02}", "0.02, confidence: 1}"): "line 14: policies[0].promote.when.confidence must be less",
    ("0.02}", "0.02, compare: holdout}"): "line 14: compare: holdout needs checks.holdout",
    # what a later version will do
    (
        "mode: act",
        "mode: act\n    freeze: [{cron: '0 25 * * *', hours: 2}]",
    ): "line 8: policies[0].freeze[0].cron: '0 25 * * *' is not a time as cron writes it",
    (
        "mode: act",
        "mode: act\n    freeze: [{cron: '0 5 * * *', hours: 2, timezone: Berlin}]",
    ): "line 8: policies[0].freeze[0].timezone: 'Berlin' is no time zone, as in Europe/Berlin",
    ("version: 1", "version: 1\nregistries: {}"): "line 2: registries: is not available",
    # a quorum that nobody can reach
    (
        "0.02}",
        "0.02}\n      approval: {required: 2, from: [ada]}",
    ): "line 15: promote.approval asks for 2 approvals from ada: too few people",
    ("mode: act", "mode: act\n    reload: {strategy: canary}"): "line 8: strategy: canary is not",
    ("mode: act", "mode: act\n    reload: {strategy: rolling}"): "line 8: strategy: rolling is not",
    ("mode: act", "mode: act\n    guard: {two_in_production: repair}"): "line 8: "
    "two_in_production: repair is not available",
    ("mode: act", "mode: act\n    guard: {unapproved_promotion: revert}"): "line 8: "
    "unapproved_promotion: revert is not available",
    # YAML
    ("    mode: act", "\tmode: act"): "line 7, column 1: a tab; YAML is indented with spaces",
    ('"fraud-*"', "*-fraud"): "line 6, column 22: found undefined alias '-fraud'; text that begins "
    "with * needs quotes",
    ("version: 1\n", "version: 1\n---\nversion: 1\n"): "line 2, column 1: a second document begins",
    ("version: 1\n", "[a]: b\nversion: 1\n"): "line 1: a key must be a word",
    ("mode: act", "mode: act: now"): "line 7, column 14: mapping values are not allowed here",
}

NOT_A_POLICY = {
    "": ": the file is empty",
    "# only a comment\n": ": the file is empty",
    "- a\n- b\n": ", line 1: the file must be a mapping",
    "hello": ", line 1: the file must be a mapping",
    "a: \0": ": this is not YAML",
    'a: "\\UFFFFFFFF"': ": this is not YAML",
    "[" * 1500: ": the file is nested too deeply",
    "a: &a [*a]": ": the file is nested too deeply",
    "version: 1": ", line 1: 'policies' is missing in the file",
}


def error_of(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        PolicySet.parse(text)
    return str(caught.value)


@pytest.mark.parametrize(("change", "said"), BAD.items(), ids=[change[1] for change in BAD])
def test_an_error_is_told_with_its_line_and_what_was_meant(
    change: tuple[str, str], said: str
) -> None:
    assert change[0] in GOOD
    PolicySet.parse(GOOD)

    error = error_of(GOOD.replace(*change, 1))

    assert f"steward.yaml, {said}" in error


@pytest.mark.parametrize(("text", "said"), NOT_A_POLICY.items())
def test_a_text_that_is_no_policy_file_is_told_as_such(text: str, said: str) -> None:
    assert error_of(text).startswith(f"steward.yaml{said}")


def test_all_errors_are_listed_in_the_order_of_their_lines() -> None:
    text = GOOD.replace("mode: act", "mode: actt").replace("0.02", "-1").replace("names", "nmes")

    lines = error_of(text).splitlines()

    assert [line.split(":")[0] for line in lines] == [
        "steward.yaml, line 7",
        "steward.yaml, line 10",
        "steward.yaml, line 10",
        "steward.yaml, line 14",
    ]


def test_a_secret_written_into_the_file_is_not_repeated_in_the_error() -> None:
    assert "s3cret" not in error_of(GOOD.replace("${TEAM_SLACK_URL}", "https://example.com/s3cret"))


def test_two_policies_of_one_name_are_an_error() -> None:
    second = GOOD[GOOD.index("  - name") :]

    assert "line 17: two policies are named 'fraud'" in error_of(GOOD + second)


def test_aliases_that_grow_without_end_are_an_error() -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))

    assert "its aliases make it too large" in error_of(f"l0: &l0 [x]\n{levels}")


def parses_or_says_why(text: str) -> None:
    try:
        PolicySet.parse(text)
    except ConfigurationError as error:
        assert str(error).startswith("steward.yaml")  # noqa: PT017  # no error is as good


@given(st.text() | st.text(alphabet="ab01:-?!&*[]{},|>%@`\"'# \n\t\\x.~<=\ufeff\x85\u2028\0"))
def test_any_text_parses_or_is_refused_with_a_sentence(text: str) -> None:
    parses_or_says_why(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.data())
def test_any_value_anywhere_in_a_policy_parses_or_is_refused_with_a_sentence(
    data: st.DataObject,
) -> None:
    lines = GOOD.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    key = lines[number].partition(":")[0]
    lines[number] = f"{key}: {json.dumps(data.draw(JSON))}"

    parses_or_says_why("\n".join(lines))
