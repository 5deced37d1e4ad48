"""The process that loads one model and scores with it: forked by a keeper, never used twice.

It has no rights worth having by now (:mod:`steward.clients.sandbox.keeper` took them). Whatever it
answers is the model's word: nothing here is believed on the other side but the shape of numbers.
"""

import io
import socket
import time
import warnings
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd

from steward.clients.sandbox import wire

_ERROR_CHARACTERS = 2_000
_FEATURE_BYTES = 8 << 30  # ours: the side that sends them is trusted
Features = Any


def serve(channel: socket.socket, files: Path, flavor: str, columns: list[str] | None) -> None:
    """Load the model, then answer until the other side ends. ``columns``: of the signature."""
    warnings.simplefilter("ignore")  # a model's advice to its author
    try:
        model = _Model(files, flavor, columns)
    except BaseException as error:  # noqa: BLE001  # a model raises what it likes
        wire.send(channel, _fault(error, "load"))
        return
    wire.send(channel, {"classes": model.classes})
    while True:
        try:
            order, body = wire.receive(channel, body_bytes=_FEATURE_BYTES)
        except EOFError:
            return
        try:
            header, answer = _answer(model, order, body)
        except BaseException as error:  # noqa: BLE001
            header, answer = _fault(error, "predict"), b""
        wire.send(channel, header, answer)


def _answer(model: "_Model", order: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    features = pd.read_feather(io.BytesIO(body))
    if names := order.get("columns"):
        features.columns = names
    if order["ask"] == "predict":
        return {}, wire.pack_array(model.predict(features))
    times = []
    for _ in range(order["rounds"]):
        began = time.perf_counter()
        model.predict(features)
        times.append((time.perf_counter() - began) * 1000)
    return {}, wire.pack_array(np.asarray(times, dtype=np.float64))


class _Model:
    """A scikit-learn estimator, or whatever else MLflow loads behind ``predict``."""

    def __init__(self, files: Path, flavor: str, columns: list[str] | None) -> None:
        self._columns = columns
        self._estimator: Any = (
            mlflow.sklearn.load_model(str(files)) if flavor == "sklearn" else None
        )
        self._pyfunc: Any = None if flavor == "sklearn" else mlflow.pyfunc.load_model(str(files))
        classes: Any = getattr(self._estimator, "classes_", None)
        is_classifier = classes is not None and hasattr(self._estimator, "predict_proba")
        self.classes = [str(one) for one in classes] if is_classifier else None

    def predict(self, features: "pd.DataFrame") -> "np.ndarray":
        if self._estimator is None:
            return _as_numbers(self._pyfunc.predict(features))
        given = self._as_fitted(features)
        if self.classes is None:
            return _as_numbers(self._estimator.predict(given))
        scores = _as_numbers(self._estimator.predict_proba(given))
        return scores[:, 1] if scores.ndim == 2 and scores.shape[1] == 2 else scores  # noqa: PLR2004

    def _as_fitted(self, features: "pd.DataFrame") -> Features:
        """The columns in the signature's order, as MLflow serves them; only numbers without names.

        What was fitted without names must be given none.
        """
        if self._columns is not None:
            if missing := [name for name in self._columns if name not in features.columns]:
                raise ValueError(f"the model's signature asks for the columns {missing}")
            features = features[self._columns]
        if hasattr(self._estimator, "feature_names_in_"):
            return features
        return features.to_numpy()


def _as_numbers(result: Any) -> "np.ndarray":
    """What a model returned as float64, a single column as a row of values."""
    numbers = np.asarray(result, dtype=np.float64)
    is_one_column = numbers.ndim == 2 and numbers.shape[1] == 1  # noqa: PLR2004
    return numbers[:, 0] if is_one_column else numbers


def _fault(error: BaseException, during: str) -> dict[str, Any]:
    """What went wrong in its own words; MLflow says why only in the exception that it hides."""
    told = f"{type(error).__name__}: {error}".removesuffix(": ")[:_ERROR_CHARACTERS]
    reason, seen = during, error
    for _ in range(20):
        if isinstance(seen, MemoryError):
            reason = "memory"
        origin = seen.__cause__ or seen.__context__
        if origin is None:
            break
        seen = origin
    return {"error": told, "reason": reason}
