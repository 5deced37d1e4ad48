"""What is told of a model that does not load or answer: all of it, or without its words."""

from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest

from handlers.checks.context import Array
from handlers.examination import examine
from handlers.examined import Examination
from steward.errors import ModelUnfitError
from steward.policy.sandbox import Level
from steward.ports import (
    ModelFacts,
    ModelFiles,
    SandboxLimits,
    Table,
)
from tests.unit.examining_support import KeepsNothing
from tests.unit.world import World, make_policy

QUOTE = "ValueError: could not convert string to float: 'Alice'"
POLICY = make_policy(
    require={}, checks={"holdout": {"uri": "rows.csv", "label": "y", "metric": "auc"}}
)


@dataclass
class Outside(KeepsNothing):
    """ports.Sandbox, SandboxedModel, Datasets and ModelStore in one, with one unfit model."""

    where: str
    reason: str
    level: Level = "L1"
    info: ModelFacts = field(default_factory=lambda: ModelFacts("sklearn", ("no", "yes")))

    def _reach(self, where: str) -> None:
        if where == self.where:
            raise ModelUnfitError(QUOTE, reason=self.reason)

    def open(self, files: ModelFiles, limits: SandboxLimits) -> nullcontext["Outside"]:
        self._reach("loading")
        return nullcontext(self)

    def predict(self, features: pd.DataFrame) -> Array:
        self._reach("scoring")
        if not features["x"].is_monotonic_increasing or len(features) < 200:
            self._reach("a check")
        return np.asarray(features["x"])

    def time(self, features: pd.DataFrame, *, rounds: int) -> list[float]:
        return [1.0] * rounds

    def load(self, uri: str, *, label: str | None = None, sha256: str | None = None) -> Table:
        frame = pd.DataFrame({"x": np.linspace(0, 1, 400), "y": ["no", "yes"] * 200})
        return Table("rows.csv", uri, "a" * 64, frame)


def examined(where: str, reason: str) -> Examination:
    world, outside = World(policy=POLICY), Outside(where, reason)
    services = replace(world.services, sandbox=outside, datasets=outside, store=outside)
    return examine(services, world.register(), None, None)


@pytest.mark.parametrize(
    ("where", "reason", "brief"),
    [
        ("loading", "load", "the candidate does not load (load)"),
        ("loading", "crash", "the candidate does not load (crash)"),
        ("scoring", "predict", "the candidate cannot score the holdout (predict)"),
        ("loading", "content", ""),  # what stands in the files, in our words
    ],
)
def test_what_an_unfit_model_said_is_kept_apart_from_what_it_did(
    where: str, reason: str, brief: str
):
    result = examined(where, reason).results[-1]

    assert (result.status, result.brief) == ("fail", brief)
    assert "Alice" in result.detail
    assert "brief" not in result.as_dict()


def test_what_a_model_raised_in_a_check_is_kept_apart_too():
    quoting = [one for one in examined("a check", "predict").results if "Alice" in one.detail]

    assert quoting
    assert all(one.brief and "Alice" not in one.brief for one in quoting)
