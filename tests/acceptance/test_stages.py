"""None, Staging, Production on a real registry: gates at each step, numbers, and the aliases."""

from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.installation import Installation, installed
from tests.servers import eventually

POLICY = """\
version: 1
policies:
  - name: steps
    match: {models: ["steps-*"]}
    mode: act
    production: {stage: Production, mirror_alias: champion, challenger_alias: challenger}
    metrics: {auc: {names: [test_auc], better: higher}}
    stages:
      Staging: {metrics: {auc: {min: 0.7}}}
      Production: {tags: {validated: true}}
    tags: {semantic_version: true}
    promote: {when: {metric: auc, margin: 0.02}}
"""
WITHIN = 60


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory, often = tmp_path_factory.mktemp("steps"), {"STEWARD_POLL_INTERVAL_SECONDS": "2"}
    with installed(directory, policy=POLICY, environment=often) as stack:
        yield stack


def reached(stack: Installation, model: str, version: str, verdict: str) -> None:
    def stands() -> bool:
        return stack.tags(model, version).get("steward.verdict") == verdict

    eventually(stands, WITHIN)


def becomes(look: Callable[[], object], wanted: object) -> None:
    eventually(lambda: look() == wanted, WITHIN, every_seconds=0.1)


def allow(stack: Installation, model: str, version: str) -> None:
    stack.mlflow.set_model_version_tag(model, version, "validated", "true")


def test_each_step_has_its_gates_and_the_numbers_and_aliases_follow(stack: Installation) -> None:
    model = "steps-one"
    first = stack.register(model, auc=0.8, real_model=True)
    becomes(lambda: stack.stages(model).get(first), "Staging")
    reached(stack, model, first, "waiting")
    assert stack.tags(model, first)["steward.reason"].startswith("waiting for tag validated until")
    becomes(lambda: stack.aliases(model), {"challenger": first})

    allow(stack, model, first)
    reached(stack, model, first, "promoted")
    becomes(lambda: stack.aliases(model), {"champion": first})
    assert stack.tags(model, first)["semantic_version"] == "1.0.0"

    second = stack.register(model, auc=0.9, real_model=True)
    becomes(lambda: stack.stages(model).get(second), "Staging")
    allow(stack, model, second)
    reached(stack, model, second, "promoted")
    assert stack.stages(model) == {first: "Archived", second: "Production"}
    assert stack.tags(model, second)["semantic_version"] == "1.1.0"
    reason = stack.tags(model, second)["steward.reason"]
    assert reason.endswith("it is numbered 1.1.0, minor after 1.0.0: it beats version 1")

    third = stack.register(model, auc=0.905)
    reached(stack, model, third, "held")
    becomes(
        lambda: stack.aliases(model),
        {"champion": second, "previous_champion": first, "challenger": third},
    )
    told = stack.cli("explain", model, second).stdout
    assert "it is numbered 1.1.0" in told
    assert "pass: Production: tag validated: tag validated is true (to enter Production)" in told


def test_a_version_that_fails_the_gates_of_staging_enters_nothing(stack: Installation) -> None:
    model = "steps-two"
    version = stack.register(model, auc=0.6)

    reached(stack, model, version, "rejected")

    assert stack.stages(model).get(version, "None") == "None"
    assert "(to enter Staging)" in stack.tags(model, version)["steward.reason"]


def champion_and_challenger(stack: Installation, model: str) -> tuple[str, str]:
    """Two versions: one that is Production, and one that was held beside it."""
    first = stack.register(model, auc=0.8)
    allow(stack, model, first)
    reached(stack, model, first, "promoted")
    second = stack.register(model, auc=0.805)
    reached(stack, model, second, "held")
    becomes(lambda: stack.aliases(model), {"champion": first, "challenger": second})
    return first, second


def test_aliases_moved_by_hand_are_put_back(stack: Installation) -> None:
    model = "steps-three"
    first, second = champion_and_challenger(stack, model)

    stack.mlflow.set_registered_model_alias(model, "challenger", first)

    becomes(lambda: stack.aliases(model), {"champion": first, "challenger": second})


def test_what_was_moved_during_a_pause_is_put_back_when_the_model_is_resumed(
    stack: Installation,
) -> None:
    model = "steps-five"
    first, second = champion_and_challenger(stack, model)
    stack.cli("pause", model, "--reason", "a look")
    stack.mlflow.set_registered_model_alias(model, "challenger", first)
    eventually(lambda: is_looked_at(stack, model, "challenger", first), WITHIN)
    assert stack.aliases(model)["challenger"] == first

    stack.cli("resume", model)

    becomes(lambda: stack.aliases(model), {"champion": first, "challenger": second})


def is_looked_at(stack: Installation, model: str, alias: str, version: str) -> bool:
    """Whether the last move of an alias named this version, and was answered."""
    moves = [
        each
        for each in stack.events(model=model, type="model_version_alias.created")
        if alias in (each["data"].get("alias"), each["data"].get("key"))
    ]
    if not moves or moves[-1]["version"] != version:
        return False
    answered = stack.event(moves[-1]["id"])["dispatches"]
    return [each["state"] for each in answered] == ["succeeded"]


def test_our_own_step_to_staging_is_known_as_ours_when_the_poll_sees_it(
    stack: Installation,
) -> None:
    model = "steps-four"
    version = stack.register(model, auc=0.8)
    becomes(lambda: stack.stages(model).get(version), "Staging")

    def seen() -> list[str]:
        moves = stack.events(model=model, type="model_version.transitioned_stage")
        return [each["seen_by"] for each in moves]

    eventually(seen, WITHIN)
    assert seen() == ["self"]
