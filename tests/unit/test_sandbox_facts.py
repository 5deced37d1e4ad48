"""What a model's own files say of it."""

import json
from pathlib import Path
from typing import Any

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
