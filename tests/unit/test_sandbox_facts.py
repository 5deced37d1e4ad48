"""What a model's own files say of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from steward.clients.sandbox.facts import facts_of

COLUMNS = [
    {"name": "age", "type": "double", "required": True},
    {"name": "income", "type": "long", "required": False},
]


def mlmodel(**told: Any) -> dict[str, Any]:
    return {"flavors": {"python_function": {"loader_module": "mlflow.sklearn"}}, **told}


def test_the_columns_of_the_signature_and_which_may_be_left_out(tmp_path: Path):
    facts = facts_of(mlmodel(signature={"inputs": json.dumps(COLUMNS)}), tmp_path, {})

    assert facts.input_columns == (("age", "double"), ("income", "long"))
    assert facts.optional_columns == frozenset({"income"})


def test_without_a_signature_nothing_is_said_of_columns(tmp_path: Path):
    facts = facts_of(mlmodel(), tmp_path, {})

    assert (facts.input_columns, facts.optional_columns) == (None, frozenset())


def test_libraries_are_read_where_their_version_is_exact(tmp_path: Path):
    (tmp_path / "requirements.txt").write_text("scikit-learn==1.9.1\npandas>=2\nSkops[all]==0.11\n")

    facts = facts_of(mlmodel(), tmp_path, {})

    assert facts.requirements == {"scikit-learn": "1.9.1", "skops": "0.11"}
    assert facts.unpinned == frozenset({"pandas"})


def test_a_version_that_no_requirement_pins_is_read_from_the_flavors(tmp_path: Path):
    text = "mlflow==3.17.2\nScikit_Learn\nxgboost>=2,<3\n# a remark\n-r more.txt\n"
    (tmp_path / "requirements.txt").write_text(text)
    flavors = {
        "python_function": {"loader_module": "mlflow.sklearn", "python_version": "3.11.7"},
        "sklearn": {"sklearn_version": "1.9.1", "code": None},
    }

    facts = facts_of(mlmodel(flavors=flavors), tmp_path, {})

    assert facts.made_with == {"python": "3.11.7", "scikit-learn": "1.9.1", "mlflow": "3.17.2"}
    assert facts.unpinned == frozenset({"scikit-learn", "xgboost"})


def test_what_is_pinned_comes_before_what_a_flavor_notes(tmp_path: Path):
    (tmp_path / "requirements.txt").write_text("scikit-learn==1.8.0 ; python_version > '3'\n")
    flavors = {"python_function": {}, "sklearn": {"sklearn_version": "1.9.1"}}

    facts = facts_of(mlmodel(flavors=flavors), tmp_path, {})

    assert (facts.requirements, facts.unpinned) == ({"scikit-learn": "1.8.0"}, frozenset())


@pytest.mark.parametrize("line", ["torch", "torch==2.*", "torch>=2.1", "torch==2.1,!=2.1.3"])
def test_a_requirement_of_several_versions_pins_none(tmp_path: Path, line: str):
    (tmp_path / "requirements.txt").write_text(f"{line}\n")

    facts = facts_of(mlmodel(), tmp_path, {})

    assert (facts.requirements, facts.unpinned) == ({}, frozenset({"torch"}))
