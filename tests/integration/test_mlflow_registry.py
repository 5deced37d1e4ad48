"""One contract, two registries: the fake that handlers are tested on, and a real MLflow."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import pytest

from steward.clients.mlflow_registry import MlflowRegistry, configure_environment
from steward.errors import NotFoundError, PermanentError
from steward.events import ModelRef
from steward.ports import Evidence, Registry, VersionInfo
from tests.fakes import FakeRegistry, FixedClock
from tests.models import client_of, register_version


class InMlflow:
    """What people do in MLflow, as the fake offers it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = client_of(url)
        self.registry = MlflowRegistry(url)

    def create_version(
        self,
        name: str,
        *,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        source: str = "",
    ) -> VersionInfo:
        version = register_version(
            self.url, name, auc=None, metrics=metrics, tags=tags, description=description
        )
        return self.registry.version(ModelRef(name), version)

    def copy_version(self, version: VersionInfo, name: str) -> VersionInfo:
        source = f"models:/{version.model.name}/{version.version}"
        copied = self.client.copy_model_version(source, name)
        return self.registry.version(ModelRef(name), copied.version)

    def delete_version(self, model: ModelRef, version: str) -> None:
        self.client.delete_model_version(model.name, version)

    def describe(self, model: ModelRef, version: str, description: str) -> None:
        self.client.update_model_version(model.name, version, description)


@pytest.fixture(params=["fake", "mlflow"])
def people(request: pytest.FixtureRequest) -> Any:
    """People at work in a registry; ``registry_of`` gives what Steward sees of it."""
    if request.param == "fake":
        return FakeRegistry(FixedClock())
    configure_environment()
    return InMlflow(request.getfixturevalue("mlflow_server"))


@pytest.fixture
def registry(people: Any) -> Registry:
    return people if isinstance(people, FakeRegistry) else people.registry


@pytest.fixture
def name() -> str:
    return f"m-{uuid4().hex[:8]}"


def values(evidence: Evidence) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in evidence.metrics}


# --- reading ------------------------------------------------------------------------------------


def test_a_version_is_told_as_it_was_registered(people: Any, registry: Registry, name: str):
    people.create_version(name, tags={"team": "risk"}, description="better")

    found = registry.version(ModelRef(name), "1")

    assert (found.version, found.stage, found.status) == ("1", "None", "READY")
    assert (found.tags, found.description) == ({"team": "risk"}, "better")
    assert found.created_at.utcoffset() is not None


def test_versions_come_oldest_first(people: Any, registry: Registry, name: str):
    for _ in range(11):
        people.create_version(name)

    assert [v.version for v in registry.versions(ModelRef(name))] == [str(n) for n in range(1, 12)]


def test_a_model_that_does_not_exist_has_no_versions(registry: Registry, name: str):
    assert registry.versions(ModelRef(name)) == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda registry, name: registry.model(ModelRef(f"{name}-missing")),
        lambda registry, name: registry.version(ModelRef(f"{name}-missing"), "1"),
        lambda registry, name: registry.version(ModelRef(name), "99"),
        lambda registry, name: registry.set_alias(ModelRef(name), "champion", "99"),
        lambda registry, name: registry.set_version_tag(ModelRef(name), "99", "k", "v"),
        lambda registry, name: registry.set_stage(
            ModelRef(name), "99", "Production", archive_existing=True
        ),
    ],
)
def test_what_does_not_exist_is_not_found(
    people: Any, registry: Registry, name: str, ask: Callable[[Registry, str], object]
):
    people.create_version(name)

    with pytest.raises(NotFoundError):
        ask(registry, name)


def test_models_are_paged_newest_change_first(people: Any, registry: Registry, name: str):
    for suffix in "abc":
        people.create_version(f"{name}-{suffix}")
    registry.set_stage(ModelRef(f"{name}-a"), "1", "Staging", archive_existing=False)
    registry.set_alias(ModelRef(f"{name}-b"), "champion", "1")

    first = registry.models(max_results=2)
    second = registry.models(page_token=first.next_token, max_results=2)

    assert len(first.models) == 2
    assert second.models[0].updated_at <= first.models[-1].updated_at
    listed = {m.model.name: m for page in (first, second) for m in page.models}
    assert listed[f"{name}-b"].aliases == {"champion": "1"}


def test_the_last_page_has_no_next(people: Any, registry: Registry, name: str):
    people.create_version(name)

    page = registry.models(max_results=1000)

    assert page.next_token is None
    assert ModelRef(name) in [model.model for model in page.models]


# --- writing ------------------------------------------------------------------------------------


def test_a_stage_is_moved_and_the_previous_one_archived(people: Any, registry: Registry, name: str):
    model = ModelRef(name)
    people.create_version(name)
    people.create_version(name)
    registry.set_stage(model, "1", "Production", archive_existing=True)

    registry.set_stage(model, "2", "Production", archive_existing=True)

    assert [v.stage for v in registry.versions(model)] == ["Archived", "Production"]


def test_without_archiving_two_versions_share_a_stage(people: Any, registry: Registry, name: str):
    model = ModelRef(name)
    people.create_version(name)
    people.create_version(name)

    for version in "12":
        registry.set_stage(model, version, "Production", archive_existing=False)

    assert [v.stage for v in registry.versions(model)] == ["Production", "Production"]


@pytest.mark.parametrize(("stage", "archive"), [("Prod", False), ("Archived", True)])
def test_a_stage_that_mlflow_does_not_have_is_refused_for_good(
    people: Any, registry: Registry, name: str, stage: str, archive: bool
):
    people.create_version(name)

    with pytest.raises(PermanentError):
        registry.set_stage(ModelRef(name), "1", stage, archive_existing=archive)


def test_an_alias_is_created_moved_and_deleted(people: Any, registry: Registry, name: str):
    model = ModelRef(name)
    people.create_version(name)
    people.create_version(name)
    seen = []

    for write in (
        lambda: registry.set_alias(model, "champion", "1"),
        lambda: registry.set_alias(model, "champion", "2"),
        lambda: registry.delete_alias(model, "champion"),
        lambda: registry.delete_alias(model, "champion"),
    ):
        write()
        seen.append(dict(registry.model(model).aliases))

    assert seen == [{"champion": "1"}, {"champion": "2"}, {}, {}]


def test_tags_and_aliases_move_no_timestamp(people: Any, registry: Registry, name: str):
    model = ModelRef(name)
    people.create_version(name)
    before = registry.model(model).updated_at, registry.version(model, "1").updated_at

    registry.set_version_tag(model, "1", "steward.verdict", "promoted")
    registry.set_alias(model, "champion", "1")

    assert (registry.model(model).updated_at, registry.version(model, "1").updated_at) == before
    assert registry.version(model, "1").tags == {"steward.verdict": "promoted"}


def test_a_deleted_version_takes_its_alias_along_and_keeps_its_number(
    people: Any, registry: Registry, name: str
):
    model = ModelRef(name)
    people.create_version(name)
    registry.set_alias(model, "champion", "1")

    people.delete_version(model, "1")
    people.create_version(name)

    assert registry.model(model).aliases == {}
    assert [v.version for v in registry.versions(model)] == ["2"]


# --- evidence -----------------------------------------------------------------------------------


def test_evidence_is_what_the_run_logged(people: Any, registry: Registry, name: str):
    version = people.create_version(name, metrics={"test_auc": 0.91, "loss": 0.2})

    evidence = registry.evidence(version)

    assert values(evidence) == {"test_auc": 0.91, "loss": 0.2}
    assert {m.origin for m in evidence.metrics} == {"run"}
    assert evidence.lineage["run_id"] == version.run_id


def test_a_number_in_a_tag_is_evidence_of_its_own_kind(people: Any, registry: Registry, name: str):
    version = people.create_version(name, tags={"auc": "0.93", "team": "risk", "bad": "nan"})

    (metric,) = registry.evidence(version).metrics

    assert (metric.name, metric.value, metric.origin) == ("auc", 0.93, "tag")


def test_a_copy_has_the_evidence_of_its_source(people: Any, registry: Registry, name: str):
    source = people.create_version(name, metrics={"test_auc": 0.91}, tags={"auc": "0.5"})

    copied = people.copy_version(people.copy_version(source, f"{name}-b"), f"{name}-c")

    evidence = registry.evidence(copied)
    assert values(evidence) == {"test_auc": 0.91, "auc": 0.5}
    assert copied.tags == {"auc": "0.5"}


def test_a_copy_of_a_deleted_version_still_has_its_run(people: Any, registry: Registry, name: str):
    copied = people.copy_version(people.create_version(name, metrics={"a": 1.0}), f"{name}-b")
    people.delete_version(ModelRef(name), "1")

    assert values(registry.evidence(copied)) == {"a": 1.0}
