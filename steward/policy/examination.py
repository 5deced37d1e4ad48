"""The policy's sections ``checks`` and ``tags``: on which data a version is examined, and how well.

``validate`` reads them where a version has passed its gates. Names of metrics are scikit-learn's.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from steward.policy.section import Section

Better = Literal["higher", "lower"]
BETTER: dict[str, Better] = {
    "roc_auc": "higher",
    "average_precision": "higher",
    "accuracy": "higher",
    "f1": "higher",
    "r2": "higher",
    "log_loss": "lower",
    "brier_score": "lower",
    "root_mean_squared_error": "lower",
}
"""What can be computed on a holdout, and which way is better."""

_ALSO_CALLED = {
    "auc": "roc_auc",
    "rocauc": "roc_auc",
    "ap": "average_precision",
    "average_precision_score": "average_precision",
    "pr_auc": "average_precision",
    "acc": "accuracy",
    "accuracy_score": "accuracy",
    "f1_score": "f1",
    "r2_score": "r2",
    "logloss": "log_loss",
    "brier": "brier_score",
    "brier_score_loss": "brier_score",
    "rmse": "root_mean_squared_error",
    "roc_auc_score": "roc_auc",
}
_SAMPLES = ("test_", "val_", "validation_", "holdout_", "eval_")

Text = Annotated[str, Field(min_length=1)]
Bound = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def computable(name: str) -> str | None:
    """The metric that a name means, as one of :data:`BETTER`: ``test_auc`` is ``roc_auc``."""
    plain = name.lower()
    for sample in _SAMPLES:
        plain = plain.removeprefix(sample)
    plain = _ALSO_CALLED.get(plain, plain)
    return plain if plain in BETTER else None


def computed_by(metric: str, logged_as: Iterable[str] = ()) -> str | None:
    """What computes a metric of the policy: by its own name, or else by what it is logged as."""
    names = (computable(name) for name in (metric, *logged_as))
    return next((name for name in names if name), None)


def _one_or_several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class Holdout(Section):
    """The rows that versions are scored on, and its column of true answers.

    ``uri``: a file, ``file://``, ``s3://``, ``runs:/`` or ``mlflow-artifacts:`` address of a
    parquet or CSV table; without it the run's own dataset is taken. ``sha256`` pins its content.
    ``reference``: what drift is measured against; without it, the run's training data.
    ``sensitive``: columns that the model does not see. ``metric``: what is computed on it.
    """

    uri: Text | None = None
    label: Text
    metric: Text
    sha256: Digest | None = None
    reference: Text | None = None
    sensitive: Annotated[tuple[Text, ...], BeforeValidator(_one_or_several)] = ()


class Limits(Section):
    """What a metric on the holdout must reach, both ends included."""

    min: Bound | None = None
    max: Bound | None = None


class Latency(Section):
    """How long one call may take, in milliseconds, and as a ratio to Production's."""

    p95_ms: Positive | None = None
    ratio_max: Positive | None = None
    p99_ratio_max: Positive | None = None


class Sanity(Section):
    """From which ROC AUC or R2 on the label must have leaked; null allows it."""

    leak_at: Positive | None = 0.9999


class Schema(Section):
    """What becomes of inputs that callers of Production would break on.

    ``breaking``: ``fail`` rejects the version; ``allow`` lets it pass, and tells what breaks.
    """

    breaking: Literal["fail", "allow"] = "fail"


class Drift(Section):
    """How far the holdout may be from the reference: population stability index, KS distance.

    ``columns``: those that are looked at; without it, all that both have.
    """

    psi_max: Positive
    ks_max: Positive | None = None
    columns: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None


class Fairness(Section):
    """How far apart groups may be treated, by the values of one column; one bound or both."""

    attribute: Text
    equalized_odds_difference_max: Positive | None = None
    demographic_parity_difference_max: Positive | None = None


class Robustness(Section):
    """How much the metric may fall under noise of so many standard deviations a column.

    ``flip_rate_max``: the share of rows whose class may change under it. ``gaps_metric_drop_max``:
    how much the metric may fall with 5% of the cells missing. What is not set is not checked.
    """

    noise_sd: Positive
    metric_drop_max: Positive
    flip_rate_max: Positive | None = None
    gaps_metric_drop_max: Positive | None = None


class Checks(Section):
    """What is examined by loading the model. ``own``: entry points of ``steward.checks``."""

    holdout: Holdout | None = None
    quality: dict[str, Limits] = {}
    sanity: Sanity = Sanity()
    schema_: Schema = Field(Schema(), alias="schema")
    latency: Latency | None = None
    drift: Drift | None = None
    fairness: Fairness | None = None
    robustness: Robustness | None = None
    own: tuple[Text, ...] = ()


class Tags(Section):
    """Which tags Steward writes beside its verdict's.

    ``checks``: one for each check; ``semantic_version``: MAJOR.MINOR.PATCH on what is promoted.
    """

    checks: bool = False
    semantic_version: bool = False


Wrong = Iterator[tuple[tuple[str, ...], str]]


def wrong_in(checks: Checks) -> Wrong:
    """What is wrong with the section as a whole: the path within it, and a sentence."""
    if not checks.model_fields_set:
        yield (), "checks is empty; name a check, such as latency: {p95_ms: 50}, or remove it"
    if checks.holdout is None:
        for name in (field.rstrip("_") for field in checks.model_fields_set):
            yield (name,), f"checks.{name} needs rows: name checks.holdout (uri, label, metric)"
    yield from _of_quality(checks)
    yield from _without_bound(checks)


def _of_quality(checks: Checks) -> Wrong:
    named: dict[str, str] = {}
    for name, limits in checks.quality.items():
        path, metric = ("quality", name), computable(name)
        if metric is None:
            yield path, f"'{name}' cannot be computed; known are: {', '.join(BETTER)}"
        if limits.min is None and limits.max is None:
            yield path, f"checks.quality.{name} needs min or max"
        elif limits.min is not None and limits.max is not None and limits.min > limits.max:
            yield path, f"checks.quality.{name}: min is above max"
        if metric is not None and named.setdefault(metric, name) != name:
            yield path, f"checks.quality bounds {metric} twice: as {named[metric]} and as {name}"


def _without_bound(checks: Checks) -> Wrong:
    """A section that checks nothing would look as if it passed."""
    sections = (("latency", checks.latency), ("fairness", checks.fairness))
    for name, section in sections:
        if section is None:
            continue
        bounds = {key: value for key, value in section if key != "attribute"}
        if all(value is None for value in bounds.values()):
            yield (name,), f"checks.{name} needs {' or '.join(bounds)}"
