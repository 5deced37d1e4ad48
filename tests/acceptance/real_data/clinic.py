"""Real models of scikit-learn's own data, registered as a data scientist would, and their verdicts.

The tables, the estimators and the shared installation of the tests of this folder.
"""

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.acceptance.installation import Installation
from tests.models import tracking_to

HERE = f"scikit-learn=={sklearn.__version__}"
JUDGED = ("model_version.validated", "model_version.rejected", "promotion.held")


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows to learn from and rows to be judged by; ``features`` are what a model may see."""

    train: pd.DataFrame
    holdout: pd.DataFrame
    features: list[str]
    label: str = "target"

    @classmethod
    def split(cls, frame: pd.DataFrame, features: Iterable[str], **how: Any) -> "Table":
        label = how.pop("label", "target")
        train, holdout = train_test_split(frame, random_state=0, **how)
        return cls(train, holdout, list(features), label)


def cancer() -> Table:
    frame = load_breast_cancer(as_frame=True).frame
    return Table.split(frame, frame.columns[:-1], test_size=0.5, stratify=frame["target"])


def wine() -> Table:
    """The cultivars by name."""
    data = load_wine(as_frame=True)
    frame = data.frame.assign(target=data.target_names[data.target])
    return Table.split(frame, frame.columns[:-1], test_size=0.6, stratify=frame["target"])


def diabetes() -> Table:
    frame = load_diabetes(as_frame=True).frame
    return Table.split(frame, frame.columns[:-1], test_size=0.5)


def digits() -> Table:
    """Is a figure 5 or more? ``parity`` is a group that no model sees, ``outcome`` tells it all."""
    frame = load_digits(as_frame=True).frame.rename(columns={"target": "digit"})
    pixels = [name for name in frame.columns if name != "digit"]
    frame["amount"] = frame[pixels].sum(axis=1)
    frame["high"] = (frame["digit"] >= 5).astype(int)
    frame["parity"] = np.where(frame["digit"] % 2 == 0, "even", "odd")
    frame["outcome"] = frame["digit"] * 10.0
    features = [*pixels, "amount"]
    return Table.split(frame, features, test_size=0.45, stratify=frame["digit"], label="high")


def dimmed(table: Table) -> pd.DataFrame:
    """The holdout as a scanner in bad light would have read it."""
    rows = table.holdout.copy()
    pixels = [name for name in table.features if name != "amount"]
    rows[pixels] = np.clip(rows[pixels] * 0.6 + 2, 0, 16)
    rows["amount"] = rows[pixels].sum(axis=1)
    return rows


def seeing(columns: Iterable[str], estimator: Any | None = None) -> Any:
    """A pipeline that takes every column, and looks at some of them."""
    scaled = ColumnTransformer([("seen", StandardScaler(), list(columns))])
    return make_pipeline(scaled, estimator or LogisticRegression(max_iter=2000))


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one version."""

    verdict: str
    code: str
    reasons: str
    checks: Mapping[str, Mapping[str, Any]]
    comparison: Mapping[str, Any] | None

    def having(self, status: str) -> set[str]:
        """The names of the checks that ended so."""
        return {name for name, check in self.checks.items() if check["status"] == status}


@dataclass
class Clinic:
    """The installation, the tables in its policies' directory, and who registers versions."""

    stack: Installation
    directory: Path
    cancer: Table = field(default_factory=cancer)
    wine: Table = field(default_factory=wine)
    diabetes: Table = field(default_factory=diabetes)
    digits: Table = field(default_factory=digits)

    def write_tables(self) -> None:
        for name in ("cancer", "wine", "diabetes", "digits"):
            getattr(self, name).holdout.to_parquet(self.directory / f"{name}.parquet")
        for name in ("cancer", "digits"):
            getattr(self, name).train.to_parquet(self.directory / f"{name}-train.parquet")
        dimmed(self.digits).to_parquet(self.directory / "digits-dim.parquet")

    def register(
        self,
        model: str,
        estimator: Any,
        rows: pd.DataFrame,
        *,
        logged: Mapping[str, float] | None = None,
        inputs: Mapping[str, Any] | None = None,
        made_with: str = HERE,
    ) -> str:
        """Register an estimator whose features are ``rows``, and return the version's number.

        ``inputs``: context -> MLflow dataset, or a table to keep as an artifact of that folder.
        """
        import mlflow
        from mlflow.models import infer_signature

        quiet = warnings.catch_warnings(action="ignore")  # MLflow's own, and its advice
        with quiet, tracking_to(self.stack.mlflow_url), mlflow.start_run() as run:
            for context, one in (inputs or {}).items():
                if isinstance(one, Path):
                    mlflow.log_artifact(str(one), context)
                else:
                    mlflow.log_input(one, context=context)
            saved = mlflow.sklearn.log_model(
                estimator,
                name="model",
                signature=infer_signature(rows),
                pip_requirements=[made_with],
                serialization_format="cloudpickle",
            )
            for name, value in (logged or {}).items():
                mlflow.log_metric(name, value, model_id=saved.model_id)
            client = self.stack.mlflow
            if not client.search_registered_models(f"name='{model}'"):
                client.create_registered_model(model)
            version = client.create_model_version(
                model, saved.model_uri, run.info.run_id, model_id=saved.model_id
            )
        return str(version.version)

    def learn(self, model: str, estimator: Any, table: Table, **more: Any) -> str:
        """Train on the table's rows and register."""
        rows = more.pop("rows", table.train)
        columns = more.pop("columns", table.features)
        label = more.pop("label", table.label)
        estimator.fit(rows[columns], rows[label])
        return self.register(model, estimator, rows[columns], **more)

    def judged(self, model: str, version: str) -> Judged:
        """Wait for the verdict, and read from the API what it rests on."""
        verdict = self.stack.verdict(model, version, wait=90)
        events = self.stack.events(model=model, version=version)
        data = [each["data"] for each in events if each["type"] in JUDGED]
        checks = next((one["checks"] for one in reversed(data) if "checks" in one), [])
        told = [each["data"] for each in events if "code" in each["data"]]
        return Judged(
            verdict["verdict"],
            verdict["code"],
            "; ".join(verdict["reasons"]),
            {check["name"]: check for check in checks},
            told[-1].get("comparison") if told else None,
        )

    def report(self, model: str, version: str) -> Any:
        """``validation/report.json`` of the version's run."""
        return json.loads(self._kept(model, version, "report.json"))

    def page(self, model: str, version: str) -> str:
        """``validation/report.html`` of the version's run."""
        return self._kept(model, version, "report.html")

    def _kept(self, model: str, version: str, name: str) -> str:
        import mlflow

        run_id = self.stack.mlflow.get_model_version(model, version).run_id
        with tracking_to(self.stack.mlflow_url):
            return str(mlflow.artifacts.load_text(f"runs:/{run_id}/validation/{name}"))
