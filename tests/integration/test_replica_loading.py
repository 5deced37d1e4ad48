"""MLflow's files -> a warm slot, and the cache between the registry and the replica."""

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.files import ModelFiles
from serving.loader import FileLoader
from serving.loading import load_slot
from serving.slot import ScoringError, Table
from steward.errors import PermanentError, TransientError
from steward.events import ModelRef
from tests.integration.serving_support import ROW, register_broken, register_telling_version
from tests.models import client_of

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own: at its import, and advice


def save(directory: Path, name: str, predict: Callable[..., Any], **options: Any) -> Path:
    """An MLflow model of a plain function, in files."""
    import mlflow.pyfunc

    class Plain(mlflow.pyfunc.PythonModel):  # type: ignore[misc,unused-ignore]  # untyped base
        def predict(self, context, model_input):  # type: ignore[no-untyped-def]  # MLflow reads them
            return predict(model_input)

    with warnings.catch_warnings(action="ignore"):
        mlflow.pyfunc.save_model(
            directory / name, python_model=Plain(), pip_requirements=[], **options
        )
    return directory / name


def test_two_versions_with_a_module_of_the_same_name_run_their_own_code(tmp_path: Path) -> None:
    def predict(_: Any) -> list[int]:
        import features_of_the_test  # type: ignore[import-not-found]

        return [features_of_the_test.ANSWER]

    slots = []
    for number in (1, 2):
        code = tmp_path / f"code{number}"
        code.mkdir()
        (code / "features_of_the_test.py").write_text(f"ANSWER = {number}\n")
        files = save(
            tmp_path, str(number), predict, code_paths=[str(code / "features_of_the_test.py")]
        )
        slots.append(load_slot(str(number), str(number), files))
        answer = slots[-1].score(json.dumps(ROW).encode(), "application/json")
        assert json.loads(answer.body) == {"predictions": [number]}


def test_a_tensor_signature_is_enough_to_warm_up(tmp_path: Path) -> None:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    signature = ModelSignature(Schema([TensorSpec(np.dtype("float64"), (-1, 3))]))
    files = save(tmp_path, "tensor", lambda rows: rows.sum(axis=1), signature=signature)

    assert load_slot("1", "1", files).warmed_by == "signature"


def test_a_made_up_row_that_a_model_refuses_does_not_keep_it_from_loading(tmp_path: Path) -> None:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    def predict(rows: Any) -> Any:
        assert (rows["a"] > 0).all(), "a must be positive"
        return rows["a"]

    signature = ModelSignature(Schema([ColSpec("double", "a")]))
    slot = load_slot("1", "1", save(tmp_path, "picky", predict, signature=signature))

    assert slot.warmed_by == "nothing"
    with pytest.raises(ScoringError, match="a must be positive"):
        slot.score(b'{"inputs": {"a": [-1.0]}}', "application/json")


def test_an_example_that_contradicts_the_signature_does_not_keep_it_from_loading(
    tmp_path: Path,
) -> None:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    signature = ModelSignature(Schema([ColSpec("double", "a")]))
    files = save(
        tmp_path, "odd", lambda rows: rows["a"], signature=signature, input_example={"a": [1.0]}
    )
    (files / "serving_input_example.json").write_text('{"inputs": {"b": [1.0]}}')

    assert load_slot("1", "1", files).warmed_by == "signature"


def test_a_model_that_fails_on_its_own_example_is_refused(tmp_path: Path) -> None:
    def predict(_: Any) -> Any:
        raise RuntimeError("compiled for another sklearn")

    files = save(tmp_path, "skewed", predict, input_example=[1.0])

    with pytest.raises(PermanentError, match="compiled for another sklearn"):
        load_slot("1", "1", files)


def test_a_model_that_leaves_the_process_is_refused(tmp_path: Path) -> None:
    def predict(_: Any) -> Any:
        raise SystemExit(3)

    slot = load_slot("1", "1", save(tmp_path, "leaver", predict))

    with pytest.raises(ScoringError, match="SystemExit"):
        slot.score(b'{"inputs": [1]}', "application/json")


@pytest.fixture(scope="module")
def registry(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Versions 1 and 2 of ``cached``, and 3, which does not load."""
    for _ in range(2):
        register_telling_version(mlflow_server, "cached")
    register_broken(mlflow_server, "cached", tmp_path_factory.mktemp("broken"))
    return mlflow_server


@pytest.fixture
def files(registry: str, tmp_path: Path) -> ModelFiles:
    return ModelFiles(tmp_path, ModelRef("cached"), registry)


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFiles:
    """The same cache, with nobody at the registry's address."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return ModelFiles(tmp_path, ModelRef("cached"), "http://127.0.0.1:9")


def test_the_champion_is_the_alias_else_the_latest_in_production(
    files: ModelFiles, registry: str
) -> None:
    client = client_of(registry)

    assert files.champion() is None
    with warnings.catch_warnings(action="ignore"):  # stages are deprecated, and in use
        client.transition_model_version_stage("cached", "1", "Production")
    assert files.champion() == "1"
    client.set_registered_model_alias("cached", "champion", "2")
    assert files.champion() == "2"


def test_a_model_that_the_registry_does_not_know_has_no_champion(
    registry: str, tmp_path: Path
) -> None:
    assert ModelFiles(tmp_path, ModelRef("nobody"), registry).champion() is None


def test_files_are_fetched_once(files: ModelFiles) -> None:
    first = files.fetch("1")
    (first.path / "mark").touch()

    assert files.fetch("1") == first
    assert (first.path / "mark").exists()


def test_a_held_version_is_loaded_again_only_when_its_files_are_others(files: ModelFiles) -> None:
    loader = FileLoader(files)
    slot = loader.load("1", None)

    assert loader.load("1", slot) is slot


def test_an_unknown_version_is_a_permanent_error(files: ModelFiles) -> None:
    with pytest.raises(PermanentError, match="no version 77"):
        files.fetch("77")


def test_a_version_that_does_not_load_is_a_permanent_error(files: ModelFiles) -> None:
    with pytest.raises(PermanentError, match="Version 3 does not load"):
        FileLoader(files).load("3", None)


def test_with_the_registry_away_the_cache_stands_in(files: ModelFiles, away: ModelFiles) -> None:
    fetched = files.fetch("1")
    files.remember(fetched.version, fetched.key)

    assert away.fetch("1") == fetched
    assert away.last_known_good() == fetched
    with pytest.raises(TransientError, match="registry cannot be read"):
        away.fetch("2")
    with pytest.raises(TransientError, match="registry cannot be read"):
        away.champion()


def test_nothing_known_is_no_error(tmp_path: Path) -> None:
    files = ModelFiles(tmp_path, ModelRef("fresh"), None)

    assert files.last_known_good() is None
    assert FileLoader(files).last_known_good() is None


def test_a_last_known_good_whose_files_are_gone_is_none(files: ModelFiles) -> None:
    files.remember("1", "1-gone")

    assert files.last_known_good() is None


def test_the_cache_keeps_what_was_used_last_what_is_held_and_what_is_served(
    files: ModelFiles,
) -> None:
    fetched = files.fetch("1")
    files.remember(fetched.version, fetched.key)
    others = [fetched.path.with_name(f"{number}-old") for number in range(10, 20)]
    for age, path in enumerate([fetched.path, *others]):
        path.mkdir(exist_ok=True)
        os.utime(path, (1000 + age, 1000 + age))

    files.evict(frozenset({"10-old"}))

    kept = {path.name for path in fetched.path.parent.iterdir()}
    assert kept == {fetched.key, "10-old", *(path.name for path in others[-5:])}


def test_settling_notes_what_is_served(files: ModelFiles) -> None:
    loader = FileLoader(files)
    slot = loader.load("2", None)

    loader.settle(Table(champion=slot))

    known = files.last_known_good()
    assert known
    assert known.version == "2"
