"""The JSON Schema of the policy file: it takes what Steward takes, and refuses what is misspelt."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from typer.testing import CliRunner

from steward.cli.policy import app
from steward.errors import ConfigurationError
from steward.policy import PolicySet
from steward.policy.schema import DIALECT, policy_schema
from tests.unit.test_policy_errors import GOOD

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples/policies").glob("*.yaml"))
PAGE = (ROOT / "docs/policy.md").read_text(encoding="utf-8")
TEXTS = [
    *(file.read_text(encoding="utf-8") for file in EXAMPLES),
    *re.findall(r"```yaml\n(version: 1\n.*?)```", PAGE, re.DOTALL),
    PolicySet.built_in().text,
    PolicySet.observe_only().text,
    GOOD,
]
VALIDATOR = Draft202012Validator(policy_schema())


def seen(text: str) -> Any:
    """The file as an editor reads it."""
    return YAML(typ="safe", pure=True).load(text)


def test_it_is_a_valid_schema():
    Draft202012Validator.check_schema(policy_schema())

    assert policy_schema()["$schema"] == DIALECT == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("text", TEXTS)
def test_it_takes_every_policy_that_we_show(text: str):
    assert [error.message for error in VALIDATOR.iter_errors(seen(text))] == []


@pytest.mark.parametrize(
    ("right", "also"),
    [
        ("to: [team]", "to: all"),
        ('models: ["fraud-*"]', 'models: ["fraud-*"], tags: {year: 2026}'),
        ("auc: {min: 0.85}", 'auc: {min: "0.85"}'),
        ("    require:\n", "    require:\n      tags: {validated: [true, 'yes']}\n"),
        ("mode: act", "mode: act\n    freeze: [{cron: '0 17 * * FRI', hours: 64}]"),
    ],
)
def test_what_steward_takes_it_takes(right: str, also: str):
    text = GOOD.replace(right, also, 1)

    PolicySet.parse(text)

    assert VALIDATOR.is_valid(seen(text))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("version: 1", "version: 2"),
        ("    require:", "    requires:"),
        ("    mode: act\n", ""),
        ("mode: act", "mode: actt"),
        ("better: higher", "better: up"),
        (", better: higher", ""),
        ("names: [test_auc]", "names: []"),
        ("events: [", "on: ["),
        ("mode: act", "mode: act\n    freeze: [{cron: '0 17 * * FRI', hours: 0}]"),
        ("margin: 0.02", "margin: [0.02]"),
        ("{stage: Production}", "{stage: Prod}"),
    ],
)
def test_what_it_refuses_steward_refuses(right: str, wrong: str):
    text = GOOD.replace(right, wrong, 1)
    assert text != GOOD

    assert not VALIDATOR.is_valid(seen(text))

    with pytest.raises(ConfigurationError):
        PolicySet.parse(text)


def test_every_section_says_what_it_is_for():
    sections = policy_schema()["$defs"]

    assert [name for name, section in sections.items() if not section.get("description")] == []


def test_the_command_prints_it_or_writes_it(tmp_path: Path):
    file = tmp_path / "steward.schema.json"

    printed = CliRunner().invoke(app, ["schema"])
    written = CliRunner().invoke(app, ["schema", "--output", str(file)])

    assert json.loads(printed.stdout) == policy_schema() == json.loads(file.read_text())
    assert f"# yaml-language-server: $schema={file}" in written.stdout


def test_a_file_that_cannot_be_written_is_a_usage_error(tmp_path: Path):
    result = CliRunner().invoke(app, ["schema", "--output", str(tmp_path / "no" / "file")])

    assert result.exit_code == 2
