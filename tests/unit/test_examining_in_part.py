"""What of an examination is made where another part of it cannot be, and beside which columns."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from handlers.checks.context import Array
from handlers.examination import examine
from handlers.examined import Examination
from steward.errors import ModelUnfitError, PermanentError
from steward.policy.sandbox import Level
from steward.ports import (
    ModelFacts,
    ModelFiles,
    SandboxLimits,
    Table,
)
from tests.unit.examining_support import KeepsNothing
from tests.unit.world import World, make_policy

HOLDOUT = {"uri": "rows.csv", "label": "y", "metric": "auc"}
LATENCY = {"ratio_max": 1.5, "p99_ratio_max": 2}
POLICY = make_policy(require={}, checks={"holdout": HOLDOUT, "latency": LATENCY})
ROWS = pd.DataFrame(
    {
        "x": np.linspace(0, 1, 400),
        "more": np.linspace(1, 0, 400),
        "y": ["no", "yes"] * 200,
    }
)


@dataclass
class Model:
    """ports.SandboxedModel: its answer is the column x; it refuses rows without its columns."""

    columns: tuple[str, ...]
    refusal: ModelUnfitError | None = None

    @property
    def info(self) -> ModelFacts:
        named = tuple((name, "double") for name in self.columns)
        return ModelFacts("sklearn", ("no", "yes"), named, python_version="3.11.9")

    def predict(self, features: pd.DataFrame) -> Array:
        return np.asarray(features[list(self.columns)]["x"])

    def time(self, features: pd.DataFrame, *, rounds: int) -> list[float]:
        return [float(len(features[list(self.columns)]))] * rounds


@dataclass
class Outside(KeepsNothing):
    """ports.Sandbox, Datasets and ModelStore in one; ``models`` by their version."""

    models: Mapping[str, Model]
    unreadable: tuple[str, ...] = ()
    level: Level = "L1"

    def open(self, files: ModelFiles, limits: SandboxLimits) -> nullcontext[Model]:
        model = self.models[files.sha256]
        if model.refusal is not None:
            raise model.refusal
        return nullcontext(model)

    def load(self, uri: str, *, label: str | None = None, sha256: str | None = None) -> Table:
        if uri in self.unreadable:
            raise PermanentError(f"{uri} cannot be read: No such file or directory")
        return Table(uri, uri, uri, ROWS)


def examined(
    candidate: Model,
    champion: Model,
    *,
    unreadable: tuple[str, ...] = (),
    checks: Mapping[str, object] | None = None,
) -> Examination:
    """Version 2 beside version 1 of Production."""
    policy = POLICY if checks is None else make_policy(require={}, checks=checks)
    world = World(policy=policy)
    outside = Outside({"1": champion, "2": candidate}, unreadable)
    services = replace(world.services, sandbox=outside, datasets=outside, store=outside)
    first, second = world.register(), world.register()
    return examine(services, second, None, first)


def statuses(found: Examination) -> dict[str, str]:
    return {result.name: result.status for result in found.results}


def crash() -> ModelUnfitError:
    return ModelUnfitError("The model cannot be examined: it crashed.", reason="crash")


@pytest.mark.parametrize(
    ("mine", "its"), [(("x",), ("x", "more")), (("x", "more"), ("x",))], ids=["fewer", "more"]
)
def test_a_version_of_other_columns_is_timed_beside_the_champion(
    mine: tuple[str, ...], its: tuple[str, ...]
):
    found = examined(Model(mine), Model(its))

    assert statuses(found)["latency.median_ratio"] == "pass", found.faults
    assert statuses(found)["latency.p99_ratio"] == "pass"


def test_a_new_required_column_fails_the_schema_though_the_rows_lack_it_too():
    found = examined(Model(("x", "extra_score")), Model(("x",)))

    assert statuses(found) == {"schema": "fail", "environment": "warn", "scoring": "error"}
    assert found.results[0].detail == "new required column extra_score"
    assert "the holdout has no column extra_score" in found.results[2].detail


def test_a_policy_that_allows_a_break_is_asked_for_it():
    checks = {"holdout": HOLDOUT, "schema": {"breaking": "allow"}}

    found = examined(Model(("x", "more")), Model(("x",)), checks=checks)

    schema = found.results[0]
    assert (schema.name, schema.status) == ("schema", "pass")
    assert schema.detail.startswith("new required column more; callers break on this")


def test_without_rows_what_stands_in_the_files_is_judged():
    found = examined(Model(("x", "extra_score")), Model(("x",)), unreadable=("rows.csv",))

    assert statuses(found) == {"schema": "fail", "environment": "warn", "holdout": "error"}


def test_a_reference_that_cannot_be_read_is_named_with_what_to_do():
    checks = {"holdout": {**HOLDOUT, "reference": "noref.parquet"}, "drift": {"psi_max": 0.2}}

    found = examined(Model(("x",)), Model(("x",)), unreadable=("noref.parquet",), checks=checks)

    assert statuses(found) == {
        "schema": "pass",
        "environment": "warn",
        "holdout.reference": "error",
    }
    told = found.results[-1].detail
    assert told.startswith("the policy's reference table, which drift is measured against: noref.")
    assert "correct checks.holdout.reference, or remove it" in told


def test_a_champion_that_does_not_load_hides_no_fault_of_the_candidate():
    found = examined(Model(("x",)), Model(("x",), refusal=crash()))
    broken = examined(Model(("extra_score",)), Model(("x",), refusal=crash()))

    assert statuses(found) == {"loading": "error", "environment": "warn"}
    assert statuses(broken)["scoring"] == "error"


def test_a_candidate_and_a_champion_that_both_lack_a_column_have_one_result_of_that_name():
    found = examined(Model(("absent",)), Model(("absent",)))

    names = [result.name for result in found.results]
    assert names == ["schema", "environment", "scoring"]


def test_what_was_known_when_a_step_stopped_is_told():
    found = examined(Model(("x", "extra_score")), Model(("x",)))
    unloaded = examined(Model(("x",), refusal=crash()), Model(("x",)))
    refused = examined(
        Model(("x",), refusal=ModelUnfitError("refused", reason="content")), Model(("x",))
    )

    assert (found.level, found.model_sha256, found.made_with) == ("L1", "2", {"python": "3.11.9"})
    assert (unloaded.level, unloaded.model_sha256) == ("L1", "2")
    assert (refused.level, refused.model_sha256) == ("", "2")  # nothing of it was loaded
