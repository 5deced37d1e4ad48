"""scikit-learn's models, saved by MLflow in each format, score in the sandbox as they do here."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from steward.clients.sandbox.client import ProcessSandbox
from steward.errors import ModelUnfitError
from steward.ports import ModelFiles, SandboxLimits

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own: at its import, and advice
FORMATS = ("skops", "cloudpickle", "pickle")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ProcessSandbox]:
    sandbox = ProcessSandbox(start_seconds=240)
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
def cancer() -> tuple[pd.DataFrame, pd.Series]:
    from sklearn.datasets import load_breast_cancer

    rows, labels = load_breast_cancer(return_X_y=True, as_frame=True)
    rows["size"] = np.where(rows["mean radius"] > 14, "large", "small")
    return rows, labels


def save(directory: Path, model: Any, rows: Any, stored_as: str) -> ModelFiles:
    import mlflow.sklearn
    import skops.io
    from mlflow.models import infer_signature

    extra = {}
    if stored_as == "skops":
        types = skops.io.get_untrusted_types(data=skops.io.dumps(model))
        extra = {"skops_trusted_types": types}
    mlflow.sklearn.save_model(
        model,
        directory,
        serialization_format=stored_as,
        signature=infer_signature(rows),
        pip_requirements=["scikit-learn==1.9.1"],
        **extra,
    )
    return ModelFiles(directory, sha256="", size_bytes=0)


def estimators() -> list[Any]:
    from sklearn import ensemble, linear_model, neighbors, neural_network, svm
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.naive_bayes import GaussianNB

    forest = ensemble.RandomForestClassifier(5, random_state=0)
    members = [("bayes", GaussianNB()), ("forest", forest)]
    return [
        linear_model.LogisticRegression(),
        linear_model.SGDClassifier(loss="log_loss"),
        linear_model.ElasticNet(),
        forest,
        ensemble.ExtraTreesRegressor(5),
        ensemble.GradientBoostingClassifier(n_estimators=5),
        ensemble.HistGradientBoostingClassifier(max_iter=5),
        ensemble.HistGradientBoostingRegressor(max_iter=5),
        ensemble.AdaBoostClassifier(n_estimators=3),
        ensemble.BaggingClassifier(n_estimators=3),
        ensemble.VotingClassifier(members, voting="soft"),
        ensemble.StackingClassifier(members, cv=2),
        svm.SVC(),
        svm.SVR(),
        neighbors.KNeighborsClassifier(algorithm="kd_tree"),
        neighbors.KNeighborsRegressor(algorithm="ball_tree"),
        neural_network.MLPClassifier((4,), max_iter=5),
        CalibratedClassifierCV(forest, cv=2),
        GaussianNB(),
    ]


def pipeline_of(estimator: Any, numbers: list[str], words: list[str]) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    cleaned = make_pipeline(SimpleImputer(), FunctionTransformer(np.log1p), StandardScaler())
    columns = [("numbers", cleaned, numbers), ("words", OneHotEncoder(), words)]
    return make_pipeline(ColumnTransformer(columns, sparse_threshold=0), estimator)


@pytest.mark.parametrize("stored_as", FORMATS)
def test_ordinary_models_score_as_they_do_in_our_process(
    sandbox: ProcessSandbox,
    cancer: tuple[pd.DataFrame, pd.Series],
    tmp_path: Path,
    stored_as: str,
) -> None:
    rows, labels = cancer
    few = rows.sample(200, random_state=0)
    differing = []

    for index, estimator in enumerate(estimators()):
        model = pipeline_of(estimator, list(rows.columns[:6]), ["size"])
        with warnings.catch_warnings(action="ignore"):
            model.fit(few, labels[few.index])
        files = save(tmp_path / str(index), model, rows, stored_as)
        has_probabilities = hasattr(model, "predict_proba")
        expected = model.predict_proba(rows)[:, 1] if has_probabilities else model.predict(rows)
        try:
            with sandbox.open(files, SandboxLimits()) as opened:
                scores = opened.predict(rows)
            np.testing.assert_allclose(scores, expected, rtol=1e-9, atol=1e-12)
        except (ModelUnfitError, AssertionError) as error:
            differing.append(f"{estimator}: {error}")

    assert differing == []


def test_a_model_of_several_classes_answers_a_column_for_each(
    sandbox: ProcessSandbox, tmp_path: Path
) -> None:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    rows, labels = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(rows, np.array(["a", "b", "c"])[labels])
    files = save(tmp_path / "model", model, rows, "skops")

    with sandbox.open(files, SandboxLimits()) as opened:
        scores = opened.predict(pd.DataFrame(rows))
        info = opened.info

    np.testing.assert_allclose(scores, model.predict_proba(rows), rtol=1e-9)
    assert info.classes == ("a", "b", "c")
    assert info.flavor == "sklearn"
    assert info.requirements["scikit-learn"] == "1.9.1"
    assert info.libraries["scikit-learn"]


def test_columns_in_another_order_are_scored_as_mlflow_serves_them(
    sandbox: ProcessSandbox, cancer: tuple[pd.DataFrame, pd.Series], tmp_path: Path
) -> None:
    from sklearn.linear_model import LinearRegression

    rows = cancer[0].drop(columns="size")
    model = LinearRegression().fit(rows, cancer[1])
    files = save(tmp_path / "model", model, rows, "skops")

    with sandbox.open(files, SandboxLimits()) as opened:
        scores = opened.predict(rows[rows.columns[::-1]])
        info = opened.info

    np.testing.assert_allclose(scores, model.predict(rows), rtol=1e-9)
    assert info.classes is None
    assert info.input_columns is not None
    assert info.input_columns[0] == ("mean radius", "double")


def test_a_column_that_the_signature_asks_for_and_is_not_there_is_told(
    sandbox: ProcessSandbox, cancer: tuple[pd.DataFrame, pd.Series], tmp_path: Path
) -> None:
    from sklearn.linear_model import LinearRegression

    rows = cancer[0].drop(columns="size")
    files = save(tmp_path / "model", LinearRegression().fit(rows, cancer[1]), rows, "skops")

    with (
        pytest.raises(ModelUnfitError, match=r"columns \['mean radius'\]"),
        sandbox.open(files, SandboxLimits()) as opened,
    ):
        opened.predict(rows.drop(columns="mean radius"))
