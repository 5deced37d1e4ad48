"""Fault 35: the policy is changed while one of the workers is in the middle of a decision.

Every decision is by one policy and names it; what began under the old one ends under it, what
begins later goes by the new one.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steward.policy import PolicySet
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.looking import outcomes_of
from tests.acceptance.faults.site import Site
from tests.servers import MlflowServer, eventually

POLICY = """\
version: 1
policies:
  - name: everything
    match: {{models: ["*"]}}
    mode: act
    production: {{stage: Production, mirror_alias: champion}}
    metrics: {{auc: {{names: [test_auc], better: higher}}}}
    require: {{metrics: {{auc: {{min: {minimum}}}}}}}
    promote: {{when: {{metric: auc, margin: 0.02}}, first_version: promote}}
"""
BUSY_SECONDS = 30


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    file = tmp_path / "steward.yaml"
    file.write_text(POLICY.format(minimum=0.8))
    return file


@pytest.fixture
def governed_site(faults_mlflow: MlflowServer, tmp_path: Path, policy_file: Path) -> Iterator[Site]:
    settings = {"STEWARD_POLICY_FILE": str(policy_file), "STEWARD_BUILT_IN_POLICY": "false"}
    with Site(tmp_path / "site", faults_mlflow, settings=settings).running() as site:
        yield site


def test_35_policy_changed_while_workers_are_busy(
    governed_site: Site, policy_file: Path, name: str
) -> None:
    site, busy, later = governed_site, f"{name}-busy", f"{name}-later"
    before = PolicySet.load(policy_file).hash
    site.stop("worker-default")
    site.start("worker-default", failpoints=f"handler.after_call=sleep:{BUSY_SECONDS}@1")
    site.register(busy, auc=0.85)
    eventually(lambda: running(site, busy), 20)

    policy_file.write_text(POLICY.format(minimum=0.9))
    after = PolicySet.load(policy_file).hash
    changes = eventually(lambda: site.events(type="policy.changed")[1:], 20)
    site.register(later, auc=0.85)
    site.await_verdict(later, "1", "rejected")
    assert running(site, busy), "it was decided before the policy changed"
    site.await_verdict(busy, "1", "promoted")
    assert_sound(site, busy, later)

    assert [change["data"]["after"] for change in changes] == [after]
    assert policies_of(site, busy) == {before[:12]}
    assert policies_of(site, later) == {after[:12]}
    assert outcomes_of(site, busy, "promote", "1") == ["succeeded"]


def running(site: Site, model: str) -> bool:
    """Whether a worker is in the middle of promoting a model."""
    for event in site.events(model=model, type="model_version.validated"):
        dispatches = site.get(f"/events/{event['id']}")["dispatches"]
        return any(each["state"] == "running" for each in dispatches)
    return False


def policies_of(site: Site, model: str) -> set[str]:
    """The beginnings of the hashes of the policies that a model's decisions name."""
    decided = [
        event["data"]["policy"]
        for kind in ("validated", "rejected", "promoted")
        for event in site.events(model=model, type=f"model_version.{kind}")
    ]
    return {policy.rpartition("@")[2] for policy in decided}
