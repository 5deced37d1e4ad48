"""Model files as MLflow lays them out, written by hand: no MLflow is imported for it."""

import pickle
from pathlib import Path
from typing import Any

from steward.ports import ModelFiles

_MLMODEL = """\
flavors:
  python_function:
    loader_module: {loader}
    model_path: {file}
    predict_fn: predict
{code}
  sklearn:
    pickled_model: {file}
    serialization_format: {stored_as}
    sklearn_version: 1.9.1
"""


def write_model(
    directory: Path,
    model: Any = None,
    *,
    content: bytes | None = None,
    file: str = "model.pkl",
    stored_as: str = "pickle",
    loader: str = "mlflow.sklearn",
    has_code: bool = False,
) -> ModelFiles:
    """One version's files; ``content`` is what ``model.pkl`` holds, else the pickled ``model``."""
    directory.mkdir(parents=True, exist_ok=True)
    code = "    code: code" if has_code else ""
    text = _MLMODEL.format(loader=loader, file=file, stored_as=stored_as, code=code)
    (directory / "MLmodel").write_text(text)
    (directory / "model.pkl").write_bytes(pickle.dumps(model) if content is None else content)
    return ModelFiles(directory, sha256="", size_bytes=0)
