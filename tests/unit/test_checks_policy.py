"""The policy's section ``checks``, in sentences for people."""

from typing import Any

import pytest

from steward.policy import Mode, Policy
from steward.policy.summary import describe
from tests.unit.world import make_policy

HOLDOUT = {"uri": "q3.parquet", "label": "fraud", "metric": "auc"}


def policy(compare: str = "auto", **checks: Any) -> Policy:
    when = {"metric": "auc", "margin": "0.02", "compare": compare}
    return make_policy(promote={"when": when}, checks={"holdout": HOLDOUT, **checks})


def told(policy: Policy, label: str) -> list[str]:
    return [text for name, text in describe(policy, Mode.ACT) if name == label]


def test_each_bound_is_told_as_the_file_names_it() -> None:
    found = policy(
        quality={"log_loss": {"max": 0.4}},
        sanity={"leak_at": None},
        schema={"breaking": "allow"},
        drift={"psi_max": 0.2, "columns": ["age", "amount"]},
        fairness={"attribute": "sex", "equalized_odds_difference_max": 0.1},
        own=["high_amounts"],
    )

    assert told(found, "examines") == [
        "auc on q3.parquet (label fraud)",
        "quality: log_loss max 0.4",
        "sanity: leak_at null",
        "schema: breaking allow",
        "drift: psi_max 0.2, columns age, amount",
        "fairness: attribute sex, equalized_odds_difference_max 0.1",
        "your own: high_amounts",
    ]


@pytest.mark.parametrize(
    ("compare", "is_by_holdout"), [("holdout", True), ("auto", True), ("logged", False)]
)
def test_what_is_compared_by_is_told(compare: str, is_by_holdout: bool) -> None:
    (promotes,) = told(policy(compare), "promotes")

    assert ("both scored on the holdout, 95% sure" in promotes) == is_by_holdout
