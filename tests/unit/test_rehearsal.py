"""What every version would meet in a policy's rows is told before there is one, and comes true."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from handlers.checks.context import Array
from handlers.examination import examine
from handlers.rehearsal import foreseen
from steward.errors import PermanentError
from steward.policy.sandbox import Level
from steward.ports import ModelFacts, ModelFiles, SandboxLimits, Table
from tests.unit.examining_support import KeepsNothing
from tests.unit.world import World, make_policy

N = 600
AGE = np.linspace(0, 1, N)
SOUND = pd.DataFrame({"age": AGE, "sex": ["f", "m"] * (N // 2), "y": (AGE > 0.4).astype(int)})
HELD = "every version would be held, as check_incomplete"
UNCOMPARED = "beside Production every version would be held, as not_comparable"
HOLDOUT = {"uri": "rows.csv", "label": "y", "metric": "auc"}


@dataclass
class Model:
    """ports.SandboxedModel, a fair one: a little wrong, of classes 0 and 1."""

    info: ModelFacts = ModelFacts("sklearn", ("0", "1"), (("age", "double"),))  # noqa: RUF009

    def predict(self, features: pd.DataFrame) -> Array:
        return np.clip(np.asarray(features["age"]) + 0.05, 0, 1)

    def time(self, features: pd.DataFrame, *, rounds: int) -> list[float]:
        return [float(len(features))] * rounds


@dataclass
class Outside(KeepsNothing):
    """ports.Sandbox, Datasets and ModelStore in one, with tables by address."""

    tables: dict[str, pd.DataFrame]
    level: Level = "L1"

    def open(self, files: ModelFiles, limits: SandboxLimits) -> nullcontext[Model]:
        return nullcontext(Model())

    def load(self, uri: str, *, label: str | None = None, sha256: str | None = None) -> Table:
        if uri not in self.tables:
            raise PermanentError(f"{uri} cannot be read: No such file or directory")
        return Table(uri, uri, uri, self.tables[uri])


def told(frame: pd.DataFrame, /, **checks: Any) -> list[str]:
    policy = make_policy(checks={"holdout": HOLDOUT, **checks})
    return list(foreseen(Outside({"rows.csv": frame}), policy))


def test_nothing_is_told_of_sound_rows():
    fairness = {"attribute": "sex", "equalized_odds_difference_max": 0.1}

    assert told(SOUND, quality={"roc_auc": {"min": 0.7}}, fairness=fairness) == []


def test_a_label_that_is_missing_is_told_with_the_columns_that_there_are():
    assert told(SOUND.rename(columns={"y": "fraud"})) == [
        f"{HELD}: rows.csv has no column y (the label); it has age, sex, fraud"
    ]


def test_rows_of_one_label_can_neither_be_measured_nor_compared():
    found = told(SOUND.assign(y=0))

    assert found == [
        f"{HELD}: quality.roc_auc: is not defined on these rows: all have the same label",
        f"{UNCOMPARED}: all rows have the same label: no comparison",
    ]


def test_rows_with_too_few_of_a_class_to_tell_two_versions_apart_are_told():
    labels = [1] * 9 + [0] * 31

    (found,) = told(SOUND.head(40).assign(y=labels))

    assert found == (
        "beside Production no version can be told to be better: too few rows to tell: 9 positive "
        "and 31 negative, needs 50"
    )


def test_a_metric_of_another_kind_of_model_is_told():
    found = told(SOUND, quality={"r2": {"min": 0.5}})

    assert found == [f"{HELD}: quality.r2: r2 is no metric of a binary model"]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([None] + [0, 1] * 299 + [1], "scoring: 1 of 600 labels are missing"),
        (["no", 1] * 300, "scoring: the labels are of several types"),
        ([[0], [1]] * 300, "scoring: the labels in y are no single values"),
    ],
)
def test_labels_that_no_model_can_have_learnt_are_told(labels: list[Any], says: str):
    (found,) = told(SOUND.assign(y=pd.Series(labels, dtype=object)))

    assert found.startswith(f"{HELD}: {says}")


def test_words_are_no_answers_of_a_regression():
    frame = SOUND.assign(y="much")
    rmse = {"names": ["test_rmse"], "better": "lower"}
    policy = make_policy(
        metrics={"rmse": rmse},
        require={},
        promote={"when": {"metric": "rmse", "margin": 1}},
        checks={"holdout": {**HOLDOUT, "metric": "rmse"}},
    )

    (found,) = foreseen(Outside({"rows.csv": frame}), policy)

    assert found.endswith("scoring: 600 of 600 labels in y are no numbers")


def test_sensitive_columns_that_are_missing_are_told():
    fairness = {"attribute": "gender", "equalized_odds_difference_max": 0.1}

    found = told(SOUND, fairness=fairness, holdout={**HOLDOUT, "sensitive": ["gender", "sex"]})

    hidden, unfair = found
    assert hidden == (
        "checks.holdout.sensitive hides gender from models, and rows.csv has no such column; "
        "it has age, sex, y"
    )
    assert unfair == f"{HELD}: fairness: the column gender of the holdout could not be had"


def test_groups_of_too_few_rows_are_told():
    fairness = {"attribute": "sex", "equalized_odds_difference_max": 0.1}

    found, _ = told(SOUND.iloc[::11], fairness=fairness)

    assert "fairness.sex.equalized_odds_difference: too few rows to compare: " in found


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        (SOUND.head(100), "skipped for every version: drift: 100 rows, needs 500"),
        (SOUND.drop(columns="age"), "that reads the column would be held, as check_incomplete: "),
        (None, "held, as check_incomplete: the policy's reference table, which drift"),
    ],
)
def test_a_reference_that_drift_cannot_be_measured_against_is_told(
    reference: pd.DataFrame | None, says: str
):
    policy = make_policy(
        checks={
            "holdout": {**HOLDOUT, "reference": "then.csv"},
            "drift": {"psi_max": 0.2, "columns": ["age"]},
        }
    )
    tables = {"rows.csv": SOUND, "then.csv": reference}
    there = {name: table for name, table in tables.items() if table is not None}

    (found,) = foreseen(Outside(there), policy)

    assert says in found


def test_without_an_address_of_the_policy_there_is_nothing_to_look_at():
    policy = make_policy(checks={"holdout": {"label": "y", "metric": "auc"}})

    assert list(foreseen(Outside({}), policy)) == []


@pytest.mark.filterwarnings("ignore:(Only one|No positive) class")
@pytest.mark.parametrize(
    "frame",
    [SOUND, SOUND.assign(y=0), SOUND.drop(columns="y"), SOUND.drop(columns="sex"), SOUND.head(30)],
    ids=["sound", "one label", "no label", "no groups", "few"],
)
def test_what_is_told_is_what_an_examination_then_meets(frame: pd.DataFrame):
    fairness = {"attribute": "sex", "equalized_odds_difference_max": 0.9}
    policy = make_policy(require={}, checks={"holdout": HOLDOUT, "fairness": fairness})
    outside = Outside({"rows.csv": frame})
    world = World(policy=policy)
    services = replace(world.services, sandbox=outside, datasets=outside, store=outside)

    found = examine(services, world.register(), None, None)

    sentences = list(foreseen(outside, policy))
    faults = [
        result.detail
        for result in found.results
        if result.status == "error" and not result.name.startswith("sanity")  # says it once more
    ]
    assert all(any(fault in told for told in sentences) for fault in faults), faults
    held = [one for one in sentences if one.startswith("every version would be held")]
    assert len(held) == len(faults)
