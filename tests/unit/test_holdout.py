"""Which rows a version is examined on, and which are refused."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from handlers.holdout import find_rows
from steward.clients.datasets import MlflowDatasets
from steward.errors import PermanentError
from steward.events import ModelRef
from steward.policy.examination import Holdout
from steward.ports import DatasetInput, Table

MODEL = ModelRef("fraud")
FRAME = pd.DataFrame({"age": [1.0, 2.0, 3.0], "fraud": [0, 1, 0]})


class FakeDatasets:
    """Tables by address, and what one run says it used."""

    def __init__(self, *inputs: DatasetInput, **tables: str) -> None:
        self._inputs = inputs
        self._tables = tables

    def load(self, uri: str, *, label: str | None = None, sha256: str | None = None) -> Table:
        if uri not in self._tables:
            raise PermanentError(f"{uri} cannot be read")
        digest = self._tables[uri]
        return Table(uri, uri, digest, FRAME, frozenset({f"short-{digest}"}))

    def of_run(self, model: ModelRef, run_id: str) -> list[DatasetInput]:
        return list(self._inputs)


def rules(**more: str) -> Holdout:
    return Holdout.model_validate({"label": "fraud", "metric": "auc", **more})


def test_the_policys_rows_come_before_those_of_the_run():
    datasets = FakeDatasets(DatasetInput("mine", "d", "test", uri="theirs"), ours="a", theirs="b")

    rows = find_rows(datasets, rules(uri="ours"), MODEL, "run-1")

    assert rows.holdout.sha256 == "a"


def test_without_an_address_the_run_names_the_rows():
    inputs = [
        DatasetInput("code", "d", "eval"),
        DatasetInput("train", "e", "training", uri="seen"),
        DatasetInput("val", "f", "validation", uri="theirs"),
    ]

    rows = find_rows(FakeDatasets(*inputs, theirs="b", seen="c"), rules(), MODEL, "run-1")

    assert rows.holdout.sha256 == "b"
    assert rows.reference is not None
    assert rows.reference.sha256 == "c"


@pytest.mark.parametrize("run_id", ["run-1", None])
def test_no_rows_are_an_error_that_says_what_was_looked_for(run_id: str | None):
    with pytest.raises(PermanentError, match="no holdout: the policy names no uri"):
        find_rows(FakeDatasets(), rules(), MODEL, run_id)


@pytest.mark.parametrize(
    "used",
    [
        DatasetInput("train", "short-a", "training"),
        DatasetInput("train", "other", "train", uri="ours"),
        DatasetInput("train", "other", "training", uri="copy"),
    ],
    ids=["MLflow's digest", "the address", "the content"],
)
def test_training_data_is_refused_by(used: DatasetInput):
    datasets = FakeDatasets(used, ours="a", copy="a")

    with pytest.raises(PermanentError, match=r"training data|was trained on"):
        find_rows(datasets, rules(uri="ours"), MODEL, "run-1")


def test_rows_without_the_label_are_refused():
    with pytest.raises(PermanentError, match="has no column target"):
        find_rows(FakeDatasets(ours="a"), rules(uri="ours", label="target"), MODEL, None)


@pytest.fixture
def datasets() -> MlflowDatasets:
    return MlflowDatasets("http://127.0.0.1:1", max_bytes=10_000)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.csv.gz"])
def test_a_table_is_read_from_a_file(datasets: MlflowDatasets, tmp_path: Path, name: str):
    path = tmp_path / name
    FRAME.to_parquet(path) if name == "rows.parquet" else FRAME.to_csv(path, index=False)

    table = datasets.load(path.as_uri(), label="fraud")

    pd.testing.assert_frame_equal(table.frame, FRAME)
    assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert table.name == name
    assert len(table.digests) == 2


def test_one_content_is_parsed_once_whatever_its_name(datasets: MlflowDatasets, tmp_path: Path):
    for name in ("a.csv", "b.csv"):
        FRAME.to_csv(tmp_path / name, index=False)

    first, second = (datasets.load(str(tmp_path / name)) for name in ("a.csv", "b.csv"))

    assert second.frame is first.frame
    assert second.name == "b.csv"


def test_other_content_than_the_policy_pins_is_refused(datasets: MlflowDatasets, tmp_path: Path):
    FRAME.to_csv(tmp_path / "a.csv")

    with pytest.raises(PermanentError, match=r"the policy pins 000000000000"):
        datasets.load(str(tmp_path / "a.csv"), sha256="0" * 64)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.csv", None, "cannot be read: No such file"),
        ("large.csv", b"a,b\n" * 5000, "has 20000 bytes; at most"),
        ("broken.parquet", b"PAR1 and no more", "is not a table"),
        ("empty.csv", b"a,b\n", "has no rows"),
        ("notes.txt", b"hello", "neither a parquet file nor named .csv"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(
    datasets: MlflowDatasets, tmp_path: Path, name: str, content: bytes | None, said: str
):
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(PermanentError, match=said):
        datasets.load(str(tmp_path / name))


def test_an_address_that_nobody_can_read_is_refused(datasets: MlflowDatasets):
    with pytest.raises(PermanentError, match="cannot read http:"):
        datasets.load("http://example.com/rows.csv")
