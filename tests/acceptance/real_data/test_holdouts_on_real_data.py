"""Where the rows come from that a real version is judged by, and which are refused."""

import warnings
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from tests.acceptance.real_data.clinic import Clinic, seeing
from tests.s3 import S3Server


def dataset(rows: pd.DataFrame, path: Path | None = None) -> Any:
    import mlflow

    with warnings.catch_warnings(action="ignore"):  # MLflow's own, about whole numbers
        source = None if path is None else str(path)
        return mlflow.data.from_pandas(rows, source=source, targets="target", name="cancer")


def learn(clinic: Clinic, model: str, **inputs: Any) -> Any:
    table = clinic.cancer
    version = clinic.learn(model, seeing(table.features), table, inputs=inputs)
    return clinic.judged(model, version)


def test_a_holdout_on_s3(clinic: Clinic, s3: S3Server) -> None:
    s3.client().create_bucket(Bucket="holdouts")
    s3.client().upload_file(
        str(clinic.directory / "cancer.parquet"), "holdouts", "2026/cancer.parquet"
    )

    found = learn(clinic, "far-away")

    assert found.verdict == "promoted", found
    assert found.checks["quality.roc_auc"]["n"] == 285


def test_a_holdout_among_the_artifacts_of_mlflow(clinic: Clinic) -> None:
    url = f"{clinic.stack.mlflow_url}/api/2.0/mlflow-artifacts/artifacts/holdouts/cancer.parquet"
    content = (clinic.directory / "cancer.parquet").read_bytes()
    httpx.put(url, content=content, trust_env=False).raise_for_status()

    found = learn(clinic, "kept-here")

    assert found.verdict == "promoted", found
    assert found.checks["quality.roc_auc"]["n"] == 285


@pytest.mark.parametrize("how", ["dataset", "artifact"])
def test_a_holdout_that_the_run_itself_names(clinic: Clinic, how: str) -> None:
    path = clinic.directory / "cancer.parquet"
    inputs: dict[str, Any] = {"training": dataset(clinic.cancer.train)}
    if how == "dataset":
        inputs["validation"] = dataset(clinic.cancer.holdout, path)
    else:
        inputs["holdout"] = path

    found = learn(clinic, f"named-{how}", **inputs)

    assert found.verdict == "promoted", found
    assert found.checks["quality.roc_auc"]["n"] == 285


def test_a_run_that_names_no_rows_is_held(clinic: Clinic) -> None:
    found = learn(clinic, "named-nothing", training=dataset(clinic.cancer.train))

    assert (found.verdict, found.code) == ("held", "check_incomplete"), found
    assert "no holdout: the policy names no uri" in found.reasons


def test_the_rows_that_a_version_learnt_from_judge_nothing(clinic: Clinic) -> None:
    found = learn(clinic, "seen-before", training=dataset(clinic.cancer.train))

    assert (found.verdict, found.code) == ("held", "check_incomplete"), found
    assert "cancer-train.parquet is the training data of this version" in found.reasons
