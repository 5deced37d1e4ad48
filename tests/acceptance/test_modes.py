"""A registry that is somebody else's: Steward does no more there than its policy says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steward.events import EventType
from tests.acceptance.conftest import Told
from tests.acceptance.installation import Installation, installed, steward
from tests.servers import eventually

POLICY = """\
version: 1
policies:
  - name: watched
    match: {models: ["watched-*"]}
    mode: observe
    production: &production {stage: Production, mirror_alias: champion}
    metrics: &metrics
      auc: {names: [test_auc], better: higher}
    require: &require {metrics: {auc: {min: 0.85}}}
    promote: &promote {when: {metric: auc, margin: 0.02}, first_version: promote}
  - name: advised
    match: {models: ["advised-*"]}
    mode: recommend
    production: *production
    metrics: *metrics
    require: *require
    promote: *promote
    notify: [{events: [promotion.held, model_version.rejected], to: all}]
  - name: strict
    match: {models: ["strict-*"]}
    mode: act
    production: *production
    metrics: *metrics
    require: {metrics: {auc: {min: 0.99}}}
    promote: *promote
"""


@pytest.fixture(scope="module")
def without_policy(
    mlflow_server: str, told: Told, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """`steward up` where MLFLOW_TRACKING_URI is set, and nothing else."""
    directory = tmp_path_factory.mktemp("bare")
    with installed(directory, registry=mlflow_server, environment=told.settings()) as stack:
        yield stack


@pytest.fixture(scope="module")
def with_policy(
    mlflow_server: str, told: Told, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The same with a policy file; nothing of it says act but for ``strict-*``."""
    with installed(
        tmp_path_factory.mktemp("ruled"),
        policy=POLICY,
        registry=mlflow_server,
        environment=told.settings(),
    ) as stack:
        yield stack


def test_without_a_policy_it_journals_and_touches_nothing(
    without_policy: Installation, name: str, told: Told
) -> None:
    version = without_policy.register(name, auc=0.9)

    created = without_policy.only(model=name, type=EventType.VERSION_CREATED)
    assert created["seen_by"] == "poll"
    without_policy.settle(name)
    _assert_untouched(without_policy, name, version, told)
    hooks = [hook.url for hook in without_policy.mlflow.list_webhooks()]
    assert not [url for url in hooks if str(without_policy.port) in url]
    assert "no policy file, so Steward only observes, by polling" in without_policy.said
    explained = without_policy.cli("explain", name, version)
    assert "no policy governs" in explained.stdout, explained.stdout + explained.stderr


def test_in_mode_observe_explain_says_what_would_have_been(
    with_policy: Installation, told: Told
) -> None:
    model = "watched-fraud"

    version = with_policy.register(model, auc=0.9)

    held = with_policy.only(model=model, type=EventType.HELD)
    assert held["data"]["would"] == "promoted"
    with_policy.settle(model)
    _assert_untouched(with_policy, model, version, told)
    explained = with_policy.cli("explain", model, version)
    assert "would be promoted" in explained.stdout


def test_in_mode_recommend_people_and_tags_say_it_and_production_stays(
    with_policy: Installation, told: Told
) -> None:
    model = "advised-fraud"

    version = with_policy.register(model, auc=0.9)

    eventually(lambda: with_policy.tags(model, version).get("steward.verdict") == "held", 20)
    assert "would be promoted" in with_policy.tags(model, version)["steward.reason"]
    eventually(lambda: told.slack(f"{model} version {version} would be promoted"), 20)
    assert with_policy.stages(model) == {version: "None"}
    assert with_policy.aliases(model) == {}
    assert with_policy.events(model=model, type=EventType.PROMOTED) == []


def test_an_edited_policy_is_taken_up_and_a_broken_edit_keeps_the_last_good_one(
    with_policy: Installation,
) -> None:
    policy = with_policy.policy
    assert policy is not None
    strict = with_policy.register("strict-1", auc=0.95)
    assert with_policy.verdict("strict-1", strict)["verdict"] == "rejected"

    policy.write_text(POLICY.replace("min: 0.99", "min: 0.91"))
    eventually(lambda: len(with_policy.events(type=EventType.POLICY_CHANGED)) == 2, 20)

    relaxed = with_policy.register("strict-2", auc=0.95)
    assert with_policy.verdict("strict-2", relaxed)["verdict"] == "promoted"
    assert with_policy.verdict("strict-1", strict)["verdict"] == "rejected"  # not judged anew

    policy.write_text(POLICY.replace("min: 0.99", "minimum: 0.5"))
    log = with_policy.data_dir / "logs" / "poller.log"
    eventually(lambda: "policy_file_refused" in log.read_text(), 20)

    weak = with_policy.register("strict-3", auc=0.9)
    assert with_policy.verdict("strict-3", weak)["verdict"] == "rejected"
    assert len(with_policy.events(type=EventType.POLICY_CHANGED)) == 2


def test_a_wrong_policy_file_stops_the_start_with_its_line(tmp_path: Path) -> None:
    policy = tmp_path / "steward.yaml"
    wrong = POLICY.replace("first_version: promote", "first_versoin: promote")
    line = 1 + wrong[: wrong.index("first_versoin")].count("\n")
    policy.write_text(wrong)

    answer = steward(
        ["up", "--data-dir", str(tmp_path / "data"), "--policy", str(policy)], env={}, cwd=tmp_path
    )

    assert answer.returncode == 2
    assert f"{policy}, line {line}: unknown key 'first_versoin'" in answer.stderr
    assert "did you mean 'first_version'?" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_policy_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    answer = steward(
        ["up", "--data-dir", str(tmp_path / "data"), "--policy", "nowhere.yaml"],
        env={},
        cwd=tmp_path,
    )

    assert answer.returncode == 2
    assert "nowhere.yaml" in answer.stderr


def _assert_untouched(stack: Installation, model: str, version: str, told: Told) -> None:
    assert stack.tags(model, version) == {}
    assert stack.aliases(model) == {}
    assert stack.stages(model) == {version: "None"}
    assert told.slack(f"{model} ") == []
    assert told.mails(f"{model} ") == []
