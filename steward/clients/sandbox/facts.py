"""What a model's own files say of it: signature and recorded requirements. Read, never run."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steward.ports import ModelFacts

_REQUIRED = re.compile(
    r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*\])?\s*(?:==\s*([^\s;#,*]+)(?=[\s;#]|$))?"
)
"""A name, and its version where one alone will do."""
_VERSIONS = {
    "sklearn_version": "scikit-learn",
    "xgb_version": "xgboost",
    "lgb_version": "lightgbm",
    "catboost_version": "catboost",
    "pytorch_version": "torch",
    "transformers_version": "transformers",
    "sentence_transformers_version": "sentence-transformers",
    "statsmodels_version": "statsmodels",
    "pmdarima_version": "pmdarima",
    "prophet_version": "prophet",
    "spacy_version": "spacy",
    "onnx_version": "onnx",
    "paddle_version": "paddlepaddle",
    "h2o_version": "h2o",
    "pyspark_version": "pyspark",
}
"""What MLflow's flavors note when a model is logged, by the library that it is the version of."""
_REQUIREMENTS_BYTES = 1 << 20


def facts_of(told: Mapping[str, Any], directory: Path, libraries: Mapping[str, str]) -> ModelFacts:
    """Facts before it is loaded; ``told`` is its MLmodel file, ``libraries`` the sandbox's own."""
    function = told["flavors"]["python_function"]
    is_sklearn = function.get("loader_module") == "mlflow.sklearn"
    required = _required(directory / "requirements.txt")
    pinned = {name: version for name, version in required.items() if version}
    return ModelFacts(
        flavor="sklearn" if is_sklearn else "python_function",
        input_columns=_input_columns(told),
        optional_columns=frozenset(
            str(one.get("name")) for one in _inputs(told) if one.get("required") is False
        ),
        requirements={**_noted(told["flavors"]), **pinned},
        unpinned=frozenset(required.keys() - pinned.keys()),
        libraries=libraries,
        python_version=str(function.get("python_version") or ""),
    )


def column_names(told: Mapping[str, Any]) -> list[str] | None:
    """Names of the signature's columns; None when it has none, or they have no names."""
    inputs = _inputs(told)
    names = [one["name"] for one in inputs if isinstance(one.get("name"), str)]
    return names if names and len(names) == len(inputs) and _is_columns(inputs) else None


def _input_columns(told: Mapping[str, Any]) -> tuple[tuple[str, str], ...] | None:
    inputs = _inputs(told)
    named = (
        (str(one.get("name", index)), str(one.get("type"))) for index, one in enumerate(inputs)
    )
    return tuple(named) or None


def _is_columns(inputs: list[dict[str, Any]]) -> bool:
    return all(one.get("type") != "tensor" for one in inputs)


def _inputs(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    signature = told.get("signature")
    try:
        inputs = json.loads(signature["inputs"])  # type: ignore[index]  # else it has none
    except (TypeError, KeyError, ValueError, RecursionError):
        return []
    return [one for one in inputs if isinstance(one, dict)] if isinstance(inputs, list) else []


def _noted(flavors: Mapping[str, Any]) -> dict[str, str]:
    """The versions that the flavors name: a requirement need not pin the library."""
    return {
        _VERSIONS[key]: str(value)
        for flavor in flavors.values()
        if isinstance(flavor, dict)
        for key, value in flavor.items()
        if key in _VERSIONS and isinstance(value, str | float | int)
    }


def _required(path: Path) -> dict[str, str | None]:
    """The libraries of a requirements file, and their versions where those are pinned."""
    if not path.is_file() or path.stat().st_size > _REQUIREMENTS_BYTES:
        return {}
    lines = path.read_text(errors="replace").splitlines()
    found = (_REQUIRED.match(line) for line in lines)
    return {re.sub(r"[-_.]+", "-", one[1]).lower(): one[2] for one in found if one}
