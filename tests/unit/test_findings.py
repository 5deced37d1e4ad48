"""What an examination leaves beside the version; no failure to show it changes a verdict."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.utils.validation import _validate_metric_name, _validate_model_version_tag
from structlog.testing import capture_logs

from handlers.checks import CheckResult
from handlers.examined import Examination
from handlers.findings import is_kept, keep, kept_names
from steward.errors import LeaseLostError, PermanentError, TransientError
from steward.policy import Mode
from steward.ports import ModelFiles, Services, VersionInfo
from tests.html_page import Page
from tests.unit.report_support import PASSED, USE
from tests.unit.world import World, make_policy


@dataclass
class FakeStore:
    """ports.ModelStore in memory; ``refusing``: the error with which it answers for a file."""

    refusing: dict[str, Exception] = field(default_factory=dict)
    has_run: bool = True
    files_kept: dict[str, bytes] = field(default_factory=dict)
    metrics_kept: dict[str, float] = field(default_factory=dict)

    def files(self, version: VersionInfo, into: Path) -> ModelFiles:
        raise AssertionError("what was found is kept, nothing is loaded")

    def keep_metrics(
        self, version: VersionInfo, metrics: Mapping[str, float], *, dataset: str, digest: str
    ) -> None:
        if "metrics" in self.refusing:
            raise self.refusing["metrics"]
        for name in metrics:
            _validate_metric_name(name)
        self.metrics_kept |= metrics

    def keep_report(self, version: VersionInfo, files: Mapping[str, bytes]) -> str | None:
        for name, content in files.items():
            if name in self.refusing:
                raise self.refusing[name]
            if self.has_run:
                self.files_kept[name] = content
        return "runs:/r1/validation" if self.has_run else None


def kept(store: FakeStore, *results: CheckResult, **more: Any) -> str | None:
    world = World()
    version = world.register()
    services: Services = replace(world.services, store=store, **more)
    return keep(services, version, Examination(results or (PASSED,), holdout=USE))


def test_both_reports_are_written_and_the_readable_ones_address_is_told():
    store = FakeStore()

    address = kept(store)

    assert address == "runs:/r1/validation/report.html"
    assert json.loads(store.files_kept["report.json"])["checks"][0]["name"] == "quality.roc_auc"
    assert "quality.roc_auc" in Page.read(store.files_kept["report.html"]).text


def test_a_page_that_cannot_be_made_is_left_out_with_a_warning():
    store = FakeStore()
    odd: Any = "soon"  # what no template expects

    with capture_logs() as logs:
        address = kept(store, replace(PASSED, seconds=odd))

    assert address is None
    assert set(store.files_kept) == {"report.json"}
    assert [(one["event"], one["part"], one["log_level"]) for one in logs] == [
        ("report_part_failed", "page", "warning")
    ]


@pytest.mark.parametrize("error", [TransientError("away"), PermanentError("full"), OSError("disk")])
def test_a_page_that_cannot_be_written_delays_nothing(error: Exception):
    store = FakeStore(refusing={"report.html": error})

    with capture_logs() as logs:
        address = kept(store)

    assert address is None
    assert set(store.files_kept) == {"report.json"}
    assert len(logs) == 1


def test_a_registry_that_is_away_is_tried_again_for_the_report_that_counts():
    with pytest.raises(TransientError):
        kept(FakeStore(refusing={"report.json": TransientError("away")}))


def test_who_lost_the_dispatch_writes_nothing_more():
    with pytest.raises(LeaseLostError):
        kept(FakeStore(refusing={"report.html": LeaseLostError("taken")}))


def test_a_version_of_no_run_has_no_report():
    assert kept(FakeStore(has_run=False)) is None
    assert kept(FakeStore(refusing={"report.json": PermanentError("the run is deleted")})) is None


def test_a_policy_that_observes_writes_nothing():
    store, services = FakeStore(), World(mode=Mode.OBSERVE).services

    assert kept(store, mode=Mode.OBSERVE) is None

    assert store.files_kept == {}
    assert not is_kept(replace(services, store=store))
    assert is_kept(replace(World().services, store=store))


def drift_of(column: str) -> CheckResult:
    return CheckResult(f"drift.{column}", "pass", 0.01, 0.2, 2000, "PSI 0.010")


ODD = ["sepal length (cm)", "price, $", "share %", "a//b", "../x", "x/", "größe", "line\nbreak"]


@pytest.mark.parametrize("column", [*ODD, "long" * 100])
def test_a_column_of_any_name_is_kept_as_a_metric_and_as_a_tag(column: str):
    (name,) = kept_names([drift_of(column).name]).values()

    _validate_metric_name(f"steward/{name}")
    _validate_model_version_tag(f"steward.check.{name}", "pass")
    assert len(f"steward.check.{name}") <= 250


def test_names_that_mlflow_takes_stay_as_they_are():
    names = ["quality.roc_auc", "drift.km/h", "drift.mean radius", "own.a:b-c"]

    assert kept_names(names) == {name: name for name in names}


def test_two_columns_that_would_have_one_name_are_told_apart():
    long = "drift." + "x" * 300

    names = kept_names(["drift.a (cm)", "drift.a [cm]", "drift.a $cm%", long, f"{long}y"])

    first = ["drift.a _cm_", "drift.a _cm__2", "drift.a _cm__3"]
    assert list(names.values())[:3] == first
    assert len(set(names.values())) == 5


def test_odd_names_cost_neither_metrics_nor_report_nor_tags():
    world = World(policy=make_policy(tags={"checks": True}))
    version, store = world.register(), FakeStore()
    results = tuple(drift_of(column) for column in ODD)

    address = keep(replace(world.services, store=store), version, Examination(results, holdout=USE))

    assert address == "runs:/r1/validation/report.html"
    assert store.metrics_kept["steward/drift.sepal length _cm_"] == 0.01
    assert len(store.metrics_kept) == len(ODD)
    tags = world.registry.version(version.model, version.version).tags
    assert tags["steward.check.drift.price_ _"] == "pass"


@pytest.mark.parametrize("refused", ["metrics", "report.json", "tags"])
def test_what_one_part_is_refused_costs_no_other_and_ends_nothing(refused: str):
    world = World(policy=make_policy(tags={"checks": True}))
    version, error = world.register(), PermanentError("403: not allowed")
    store = FakeStore(refusing={refused: error})
    if refused == "tags":
        world.registry.fail(error)

    with capture_logs() as logs:
        keep(replace(world.services, store=store), version, Examination((PASSED,), holdout=USE))

    tags = world.registry.version(version.model, version.version).tags
    kept = {
        "metrics": bool(store.metrics_kept),
        "report.json": "report.json" in store.files_kept,
        "tags": "steward.check.quality.roc_auc" in tags,
    }
    assert kept == {part: part != refused for part in kept}
    part = refused.removesuffix(".json")
    assert [(one["event"], one["part"]) for one in logs] == [("examination_not_kept", part)]
