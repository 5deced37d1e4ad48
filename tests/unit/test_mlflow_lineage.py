"""Where a version came from, out of its runs: what one lacks another fills in."""

import json

import pytest

from steward.clients.mlflow_lineage import (
    RunOrigin,
    environment,
    inputs,
    lineage,
    params,
)
from steward.ports import DatasetInput, copy_of

CARDS = DatasetInput("cards", "d1", "training", "s3")


def test_the_last_run_fills_in_what_the_first_lacks_and_the_first_one_wins():
    own = RunOrigin("r1", {"mlflow.user": "ada"}, {"C": "1"}, (CARDS,))
    older = RunOrigin(
        "r0", {"mlflow.user": "bob", "mlflow.source.git.commit": "abc"}, {"C": "2", "seed": "7"}
    )

    told = lineage("m-1", [own, older])

    assert told == {
        "model_id": "m-1",
        "run_id": "r1",
        "user": "ada",
        "git_commit": "abc",
        "datasets": "cards@d1",
        "dataset_digest": "d1",
    }
    assert params([own, older]) == {"C": "1", "seed": "7"}
    assert inputs([own, own]) == (CARDS,)


def test_a_dataset_without_a_digest_leaves_the_digest_out():
    run = RunOrigin("r1", inputs=(CARDS, DatasetInput("holdout", "")))

    assert "dataset_digest" not in lineage(None, [run])


def test_the_environment_comes_from_the_only_model_that_a_run_logged():
    flavors = {
        "python_function": {"python_version": "3.11.7", "env": {}},
        "sklearn": {"sklearn_version": "1.5.2"},
    }
    one = json.dumps([{"flavors": flavors}])
    two = json.dumps([{"flavors": flavors}] * 2)

    def of(history: str) -> dict[str, str]:
        return environment([RunOrigin("r1", {"mlflow.log-model.history": history})])

    assert of(one) == {"python": "3.11.7", "sklearn": "1.5.2"}
    assert of(two) == of("not json") == of('[{"flavors": []}]') == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [("models:/fraud-dev/3", ("fraud-dev", "3")), ("models:/m-1", None), ("s3://a/b", None)],
)
def test_a_copy_names_its_version(source: str, expected: tuple[str, str] | None):
    assert copy_of(source) == expected
