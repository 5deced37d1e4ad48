"""Real models of scikit-learn's breast cancer data, examined in the sandbox on a real registry."""

import copy
import json
import platform
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import sklearn
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from steward.events import EventType, ModelRef
from steward.journal import deliveries, queries, replay, verdicts
from steward.journal.filters import EventFilter
from steward.journal.opening import open_journal
from steward.journal.store import Journal
from steward.ports import Hint
from steward.settings import Settings
from steward.wiring import ServicesFactory, activate_policy
from tests.html_page import Page
from tests.models import client_of, tracking_to
from webhook_receiver.api.sections import sections_of
from workers.running import Runner
from workers.tasks import ROUTING, handler_named

POLICY = """
version: 1
policies:
  - name: cancer
    mode: act
    match: {{models: ["{model}"]}}
    production: {{stage: Production}}
    metrics: {{auc: {{names: [test_auc], better: higher}}}}
    checks:
      holdout: {{uri: "{uri}", label: target, metric: auc}}
      quality: {{roc_auc: {{min: 0.55}}}}
{checks}
    tags: {{checks: true}}
    promote: {{when: {{metric: auc, margin: {margin}, compare: holdout}}, first_version: promote}}
"""
COLUMNS = ["mean radius", "mean smoothness", "mean symmetry", "texture error"]
POOR, GOOD = ["mean radius", "texture error"], []
SYMMETRY_ALONE = ["mean radius", "texture error", "mean smoothness"]
SMOOTHNESS_ALONE = ["mean radius", "texture error", "mean symmetry"]
"""Columns that a version is blind to; without the radius it knows little."""
FUNCTION = "copy.copy"
"""Harmless, and on no list of ours: a model that names it is not loaded."""


@dataclass
class Clinic:
    """One model, one policy, one journal: versions come in and are judged."""

    journal: Journal
    runner: Runner
    server: str
    model: ModelRef
    train: pd.DataFrame
    hints: list[Hint] = field(default_factory=list)

    def register(
        self, blind_to: list[str], *first_steps: Any, columns: list[str] | None = None
    ) -> str:
        """Train, register, and let Steward judge. ``columns``: of the signature."""
        rows, columns = self.train, columns or COLUMNS
        seen = rows[columns].assign(**dict.fromkeys(blind_to, 0.0))
        estimator = make_pipeline(*first_steps, StandardScaler(), LogisticRegression())
        estimator.fit(seen, rows["target"])
        quiet = warnings.catch_warnings(action="ignore")  # MLflow's own
        with quiet, tracking_to(self.server), mlflow.start_run():
            dataset = mlflow.data.from_pandas(rows, name="cancer", targets="target")
            mlflow.log_input(dataset, context="training")
            logged = mlflow.sklearn.log_model(
                estimator,
                name="model",
                input_example=rows[columns].head(2),
                skops_trusted_types=[FUNCTION] if first_steps else None,
                pip_requirements=["scikit-learn"],  # unpinned: MLmodel alone notes the version
            )
            version = mlflow.register_model(logged.model_uri, self.model.name)
        self.deliver(str(version.version))
        return str(version.version)

    def deliver(self, version: str) -> None:
        news = deliveries.News(
            EventType.VERSION_CREATED,
            "mlflow/default",
            self.model,
            version,
            subject=version,
            facet="exists",
            value=True,
            data={"name": self.model.name, "version": version},
        )
        delivery = deliveries.Delivery("mlflow", f"d{version}", b"{}", datetime.now(UTC), news)
        self.run(deliveries.record(self.journal, [delivery])[1])

    def run(self, hints: Iterable[Hint]) -> None:
        """These dispatches and all that come of them."""
        self.hints += hints
        while self.hints:
            self.runner.run(self.hints.pop(0).dispatch_id)

    def environment(self, version: str) -> dict[str, str]:
        """What its judgement recorded of the model's Python and libraries."""
        with self.journal.read() as connection:
            (judged,) = queries.events_of(
                connection, self.model, version=version, types=(EventType.VALIDATED,)
            )
        recorded: dict[str, str] = judged.data["lineage"]["environment"]
        return recorded

    def judge_again(self, version: str) -> None:
        """As `steward events replay` does."""
        registered = EventFilter(
            type=EventType.VERSION_CREATED, model=self.model.name, version=version
        )
        chosen = replay.choose(self.journal, registered, limit=1)
        _, hints = replay.apply(
            self.journal, chosen, handlers=["validate"], mode="all", actor="ada", reason=""
        )
        self.run(hints)

    def artifact(self, version: str, name: str) -> str:
        """A file that Steward left at the version's run."""
        run_id = client_of(self.server).get_model_version(self.model.name, version).run_id
        with tracking_to(self.server):
            text = mlflow.artifacts.load_text(f"runs:/{run_id}/validation/{name}")
        return str(text)

    def report(self, version: str) -> Page:
        """The readable report, read strictly."""
        return Page.read(self.artifact(version, "report.html").encode())

    def explained(self, version: str) -> dict[str, Any]:
        """The version by subject, as `steward explain` has it."""
        with self.journal.read() as connection:
            found = queries.events_of(connection, self.model, version=version)
        return sections_of(version, found, [])

    def verdict(self, version: str) -> tuple[str, str, str]:
        """Verdict, code, reasons."""
        with self.journal.read() as connection:
            found = verdicts.standing_verdict(connection, self.model, version)
        assert found is not None
        return found.verdict, found.code, "; ".join(found.reasons)


@pytest.fixture
def rows() -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = load_breast_cancer(as_frame=True).frame
    train, holdout = train_test_split(
        frame, test_size=0.5, random_state=0, stratify=frame["target"]
    )
    return train, holdout


@pytest.fixture
def clinic(
    request: pytest.FixtureRequest,
    mlflow_server: str,
    tmp_path: Path,
    rows: tuple[pd.DataFrame, pd.DataFrame],
) -> Iterator[Clinic]:
    given: dict[str, Any] = getattr(request, "param", {})
    train, holdout = rows
    uri = tmp_path / "holdout.parquet"
    if given.get("has_holdout", True):
        (train if given.get("is_training") else holdout).to_parquet(uri)
    model = ModelRef(f"cancer-{request.node.name[:40].replace('[', '-').rstrip(']')}")
    policy = tmp_path / "steward.yaml"
    policy.write_text(
        POLICY.format(
            model=model.name,
            uri=uri,
            margin=given.get("margin", "0.1"),
            checks=given.get("checks", ""),
        )
    )
    settings = Settings(
        MLFLOW_TRACKING_URI=mlflow_server, data_dir=tmp_path, policy_file=policy, host="127.0.0.1"
    )
    journal = open_journal(settings, ROUTING)
    activate_policy(settings, journal)
    hints: list[Hint] = []
    factory = ServicesFactory(settings, journal)
    runner = Runner(
        journal,
        owner="clinic",
        handlers=handler_named,
        services_for=factory,
        hint=hints.extend,
        lease_seconds=60,
    )
    yield Clinic(journal, runner, mlflow_server, model, train, hints)
    runner.stop()
    factory.close()
    journal.close()
    client_of(mlflow_server).delete_registered_model(model.name)


def test_a_better_version_is_promoted_by_the_holdout(clinic: Clinic) -> None:
    first = clinic.register(POOR)
    second = clinic.register(GOOD)

    verdict, code, reasons = clinic.verdict(second)

    assert clinic.verdict(first)[0] == "promoted", clinic.verdict(first)
    assert (verdict, code) == ("promoted", "beats_production"), reasons
    assert "holdout.parquet (285 rows) was used for 2 decisions" in reasons
    client = client_of(clinic.server)
    held = client.get_model_version(clinic.model.name, second)
    assert held.tags["steward.check.quality.roc_auc"] == "pass"
    metrics = client.get_logged_model(held.model_id or held.source.removeprefix("models:/")).metrics
    assert {"steward/quality.roc_auc"} <= {metric.key for metric in metrics}
    assert json.loads(clinic.artifact(second, "report.json"))["comparison"]["champion"] == first
    made_with = {"python": platform.python_version(), "scikit-learn": sklearn.__version__}
    assert made_with.items() <= clinic.environment(second).items()
    (told,) = (one for one in clinic.explained(second)["checks"] if one["name"] == "environment")
    assert told["status"] == "pass"
    assert told["detail"] == "as made: scikit-learn; not pinned by its requirements: scikit-learn"


def test_a_person_can_read_why(clinic: Clinic) -> None:
    clinic.register(POOR)
    version = clinic.register(GOOD)

    page = clinic.report(version)

    assert page.outside == []
    assert "Passed: no check failed." in page.words
    assert "holdout.parquet, 285 rows" in page.words
    assert f"Version {version} (candidate)" in page.words
    assert "Conclusion: better than Production: better by" in page.words
    shown = list(page.pictures)
    assert shown[0].startswith("The difference is 0.")
    roc = next(words for words in shown if words.startswith("ROC curves"))
    assert f"version {version} (candidate): area under the curve 0.9" in roc
    assert "version 1 (Production)" in roc
    run_id = client_of(clinic.server).get_model_version(clinic.model.name, version).run_id
    assert clinic.explained(version)["report"] == f"runs:/{run_id}/validation/report.html"


def test_a_replay_writes_the_report_anew(clinic: Clinic) -> None:
    version = clinic.register(GOOD)
    client = client_of(clinic.server)
    run_id = client.get_model_version(clinic.model.name, version).run_id
    client.log_text(run_id, "an older one", "validation/report.html")

    clinic.judge_again(version)

    assert "Passed: no check failed." in clinic.report(version).words
    files = {file.path for file in client.list_artifacts(run_id, "validation")}
    assert files == {"validation/report.json", "validation/report.html"}


def test_a_version_that_does_not_load_has_a_report_of_one_line(clinic: Clinic) -> None:
    version = clinic.register(GOOD, FunctionTransformer(copy.copy))

    verdict, code, reasons = clinic.verdict(version)
    page = clinic.report(version)

    assert (verdict, code) == ("rejected", "check_failed"), reasons
    assert "Failed: 1 check, loading." in page.words
    assert "the candidate does not load" in page.words
    assert page.pictures == {}
    assert str(clinic.explained(version)["report"]).endswith("/validation/report.html")


@pytest.mark.parametrize("clinic", [{"margin": "0.02"}], indirect=True)
def test_a_difference_within_the_noise_is_inconclusive(clinic: Clinic) -> None:
    clinic.register(SYMMETRY_ALONE)

    version = clinic.register(SMOOTHNESS_ALONE)

    verdict, code, reasons = clinic.verdict(version)
    assert (verdict, code) == ("held", "inconclusive"), reasons
    assert "better by 0.03" in reasons  # the margin alone would have promoted it


@pytest.mark.parametrize(
    "clinic", [{"checks": "      latency: {ratio_max: 50, p99_ratio_max: 500}"}], indirect=True
)
def test_a_version_that_drops_a_column_is_timed_beside_one_that_reads_it(clinic: Clinic) -> None:
    first = clinic.register(POOR)

    second = clinic.register(GOOD, columns=COLUMNS[:3])

    assert clinic.verdict(first)[0] == "promoted", clinic.verdict(first)
    checks = {one["name"]: one for one in clinic.explained(second)["checks"]}
    assert checks["latency.median_ratio"]["status"] == "pass", checks
    assert checks["schema"]["status"] == "warn"
    assert "texture error is no longer read" in checks["schema"]["detail"]
    assert clinic.verdict(second)[0] == "promoted", clinic.verdict(second)


def test_a_new_required_column_that_the_holdout_lacks_is_rejected_by_the_schema(
    clinic: Clinic,
) -> None:
    clinic.register(POOR)
    clinic.train = clinic.train.assign(extra_score=0.5)

    version = clinic.register(GOOD, columns=[*COLUMNS, "extra_score"])

    verdict, code, reasons = clinic.verdict(version)
    assert (verdict, code) == ("rejected", "check_failed"), reasons
    assert "schema: new required column extra_score" in reasons
    statuses = {one["name"]: one["status"] for one in clinic.explained(version)["checks"]}
    assert statuses == {"schema": "fail", "environment": "pass", "scoring": "error"}
    page = clinic.report(version)
    assert "Failed: 1 check, schema. Could not be made: 1 check, scoring." in page.words
    assert "Sandbox level L" in page.words


@pytest.mark.parametrize("clinic", [{"is_training": True}], indirect=True)
def test_a_version_is_not_judged_on_what_it_was_trained_on(clinic: Clinic) -> None:
    version = clinic.register(GOOD)

    verdict, code, reasons = clinic.verdict(version)

    assert (verdict, code) == ("held", "check_incomplete")
    assert "is the training data of this version" in reasons


@pytest.mark.parametrize("clinic", [{"has_holdout": False}], indirect=True)
def test_without_its_holdout_a_version_is_held(clinic: Clinic) -> None:
    version = clinic.register(GOOD)

    verdict, code, reasons = clinic.verdict(version)

    assert (verdict, code) == ("held", "check_incomplete")
    assert "holdout.parquet cannot be read" in reasons
