"""Local files of a model version -> a warm Slot. Runs in the loader thread only.

mlflow is imported inside the functions: importing it takes seconds, and until then the process
already answers its health checks.
"""

import base64
import gc
import importlib
import json
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

from serving.slot import Answer, Score, ScoringError, Slot
from steward.errors import PermanentError
from steward.logs import get_logger

_WARM_UP_ROUNDS = 3
_CAUSE_LIMIT = 2_000
_DOES_NOT_FIT = "INVALID_PARAMETER_VALUE"
"""MLflow's code for an input that contradicts the signature; it lets such examples be logged."""
_SAMPLES: dict[str, Any] = {
    "boolean": False,
    "integer": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "string": "",
    "binary": base64.b64encode(b"").decode(),
    "datetime": "2000-01-01T00:00:00",
}
log = get_logger()


def load_slot(version: str, key: str, files: Path) -> Slot:
    """Load and warm up one version.

    Raises:
        PermanentError: it does not load, or cannot answer its own input example.

    """
    started = time.perf_counter()
    mlflow_pyfunc = import_mlflow()
    _forget_code_of_other_versions(files.parent)
    try:
        model = mlflow_pyfunc.load_model(str(files))
        score = _scorer(model)
        warmed_by = _warm_up(model, files, score)
    except (Exception, SystemExit) as error:
        raise PermanentError(
            f"Version {version} does not load: {type(error).__name__}: {error}"[:_CAUSE_LIMIT]
        ) from error
    seconds = time.perf_counter() - started
    log.info("version_loaded", version=version, seconds=round(seconds, 3), warmed_by=warmed_by)
    return Slot(version, key, score, seconds, warmed_by)


@cache
def import_mlflow() -> Any:
    """mlflow.pyfunc, set apart from garbage collection.

    The collection after each swap would otherwise walk MLflow's 180,000 objects and stall every
    answer for 0.1 s.
    """
    import mlflow.pyfunc.scoring_server

    gc.collect()
    gc.freeze()
    return mlflow.pyfunc


def _forget_code_of_other_versions(versions: Path) -> None:
    """Two versions that carry a module of the same name must each import their own.

    Python keeps the first one imported; without this the new version would silently run the old
    version's code. What is loaded already keeps its own functions.
    """
    root = f"{versions}/"
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(root):
            del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if not entry.startswith(root)]
    importlib.invalidate_caches()


def _scorer(model: Any) -> Score:
    """MLflow's own parsing, scoring and serialising of one request, errors translated."""
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc.scoring_server import invocations

    schema = model.metadata.get_input_schema()

    def score(body: bytes, content_type: str) -> Answer:
        try:
            return Answer(*invocations(body, content_type, model, schema))
        except MlflowException as error:
            raise ScoringError(
                _cause(error), status=error.get_http_status_code(), code=error.error_code
            ) from error
        except (Exception, SystemExit) as error:
            # MLflow's own server blames the input for whatever a model raises; so do we.
            message = f"{type(error).__name__}: {error}"[:_CAUSE_LIMIT]
            raise ScoringError(message, status=400, code="BAD_REQUEST") from error

    return score


def _cause(error: BaseException) -> str:
    """What went wrong; MLflow says why only in the exception that its own one hides."""
    origin = error.__cause__ or error.__context__
    reason = f" Cause: {type(origin).__name__}: {origin}" if origin else ""
    text = str(error)
    return text[: _CAUSE_LIMIT - len(reason[:1000])] + reason[:1000]


def _warm_up(model: Any, files: Path, score: Score) -> str:
    """Answer a few requests, so that the first real one is not the slow one; says with what."""
    example = model.metadata.get_serving_input(str(files))
    if example:
        try:
            _answer_some(score, example)
        except ScoringError as error:
            if error.code != _DOES_NOT_FIT:
                raise  # a model that fails on its own example would fail on everybody's requests
            log.warning("input_example_does_not_fit", error=str(error)[:300])
        else:
            return "input example"
    row = _row_of(model.metadata.get_input_schema())
    if row is not None:
        try:
            _answer_some(score, json.dumps(row))
        except ScoringError as error:
            # A made-up row need not be one that the model accepts: an unknown category, say.
            log.info("made_up_row_refused", error=str(error)[:300])
        else:
            return "signature"
    return "nothing"


def _answer_some(score: Score, request: str) -> None:
    for _ in range(_WARM_UP_ROUNDS):
        score(request.encode(), "application/json")


def _row_of(schema: Any) -> dict[str, Any] | None:
    """One request with zeros and empty strings for a signature; None if it is too complex."""
    import numpy as np

    if schema is None or not schema.inputs:
        return None
    if schema.is_tensor_spec():
        tensors = {
            spec.name: np.zeros([max(size, 1) for size in spec.shape], dtype=spec.type).tolist()
            for spec in schema.inputs
        }
        return {"inputs": tensors if schema.has_input_names() else next(iter(tensors.values()))}
    samples = [_SAMPLES.get(getattr(spec.type, "name", "")) for spec in schema.inputs]
    if any(sample is None for sample in samples):
        return None
    split: dict[str, Any] = {"data": [samples]}
    if schema.has_input_names():
        split["columns"] = schema.input_names()
    return {"dataframe_split": split}
