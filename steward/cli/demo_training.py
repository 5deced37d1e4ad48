"""Real models on real data for `steward demo`: fitted, measured on one holdout, logged to MLflow.

The data is the breast cancer collection that scikit-learn ships: 569 tumours, 30 measurements each,
and whether the tumour was malignant. Seeds make every run the same; no number is written down here.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from steward.clients.mlflow_webhooks import NAME_PREFIX
from steward.errors import StewardError

HOLDOUT = "holdout"
METRIC = "test_auc"
_APPEARANCE = ("mean texture", "mean smoothness", "mean symmetry", "mean fractal dimension")
_FOREST_TYPES = ["sklearn.tree._tree.Tree"]  # what skops asks to be trusted by name


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one model is made; without features it uses every measurement."""

    told: str
    features: tuple[str, ...] = ()
    is_forest: bool = False


FIRST = Recipe("logistic regression on four measurements of its appearance", _APPEARANCE)
SLIGHTLY_BETTER = Recipe("random forest on the same four", _APPEARANCE, is_forest=True)
TOO_WEAK = Recipe("logistic regression on its texture alone", ("mean texture",))
BETTER = Recipe("logistic regression on radius and texture", ("mean radius", "mean texture"))
BEST = Recipe("logistic regression on all 30 measurements")


@dataclass(frozen=True, slots=True)
class Split:
    """Training rows, and the holdout that every model is measured on (pandas objects)."""

    train: Any
    train_labels: Any
    test: Any
    test_labels: Any

    def request(self, rows: int) -> bytes:
        """Rows of the holdout as a request to a replica."""
        split = self.test.head(rows).to_dict(orient="split", index=False)
        return json.dumps({"dataframe_split": split}).encode()


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted model and what it reached on the holdout."""

    recipe: Recipe
    estimator: Any
    auc: float


@dataclass(frozen=True, slots=True)
class Models:
    """All that the demo registers, and the data behind it."""

    split: Split
    by_recipe: Mapping[Recipe, Trained]


def load() -> Split:
    """The data, 65% to train on and 35% held out."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split

    loaded = load_breast_cancer(as_frame=True)
    is_malignant = (loaded.target == 0).rename("malignant")
    train, test, train_labels, test_labels = train_test_split(
        loaded.data, is_malignant, test_size=0.35, stratify=is_malignant, random_state=7
    )
    return Split(train, train_labels, test, test_labels)


def fit(recipe: Recipe, split: Split) -> Trained:
    """Fit one model and measure it. All models take all 30 columns and choose from them."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = (
        RandomForestClassifier(60, random_state=0, n_jobs=1)
        if recipe.is_forest
        else LogisticRegression(max_iter=500)
    )
    features = list(recipe.features or split.train.columns)
    estimator = make_pipeline(make_column_transformer((StandardScaler(), features)), classifier)
    estimator.fit(split.train, split.train_labels)
    scores = estimator.predict_proba(split.test)[:, 1]
    return Trained(recipe, estimator, float(roc_auc_score(split.test_labels, scores)))


@dataclass(frozen=True, slots=True)
class Logged:
    """MLflow's ids of a logged model and of its run."""

    model_id: str
    run_id: str


class Laboratory:
    """Logs models to one MLflow and registers them, as a data scientist's script does."""

    def __init__(self, tracking_uri: str, model: str, split: Split) -> None:
        import mlflow

        mlflow.set_tracking_uri(tracking_uri)
        self._client = mlflow.MlflowClient(tracking_uri)
        self._model = model
        self._split = split
        mlflow.set_experiment(model)
        self._client.create_registered_model(model)

    def log(self, trained: Trained) -> Logged:
        """Log a run with its model and its metric."""
        import mlflow

        split, recipe = self._split, trained.recipe
        with mlflow.start_run(run_name=recipe.told) as run:
            mlflow.log_params({"features": len(recipe.features) or split.train.shape[1]})
            logged = mlflow.sklearn.log_model(
                trained.estimator,
                name="model",
                pyfunc_predict_fn="predict_proba",
                signature=mlflow.models.infer_signature(
                    split.test, trained.estimator.predict_proba(split.test)
                ),
                input_example=split.test.head(2),
                pip_requirements=["scikit-learn"],  # working them out would take seconds
                skops_trusted_types=_FOREST_TYPES if recipe.is_forest else None,
            )
            mlflow.log_metric(
                METRIC, trained.auc, dataset=self._holdout(), model_id=logged.model_id
            )
        return Logged(logged.model_id, run.info.run_id)

    def register(self, logged: Logged) -> str:
        """Register what was logged; returns the version's number."""
        version = self._client.create_model_version(
            self._model,
            f"models:/{logged.model_id}",
            logged.run_id,
            model_id=logged.model_id,
            await_creation_for=0,
        )
        return str(version.version)

    @contextmanager
    def webhook_off(self) -> Iterator[None]:
        """Switch Steward's webhook off at MLflow, as if deliveries were lost."""
        hooks = self._client.list_webhooks()
        ours = [hook for hook in hooks if hook.name.startswith(NAME_PREFIX)]
        if not ours:
            raise StewardError("MLflow has no webhook of Steward to switch off.")
        for webhook in ours:
            self._client.update_webhook(webhook.webhook_id, status="DISABLED")
        try:
            yield
        finally:
            for webhook in ours:
                self._client.update_webhook(webhook.webhook_id, status="ACTIVE")

    def _holdout(self) -> Any:
        import mlflow

        rows = self._split.test.assign(malignant=self._split.test_labels)
        return mlflow.data.from_pandas(rows, targets="malignant", name=HOLDOUT)


def prepare(recipes: Iterable[Recipe]) -> Models:
    """Everything that needs no MLflow server: import the libraries, load the data, fit."""
    os.environ |= {
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    import mlflow.sklearn  # noqa: F401  # seconds that pass while the servers start

    logging.getLogger("mlflow").setLevel(logging.ERROR)  # after the import, which sets it too

    split = load()
    return Models(split, {recipe: fit(recipe, split) for recipe in recipes})
