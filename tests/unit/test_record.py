"""What an event keeps of a version's evidence: all of it while it is small, and what was cut."""

from decimal import Decimal

from handlers.metrics import Found
from handlers.record import LONGEST_VALUE, MAX_METRICS, MAX_PARAMS, found_record, lineage_record
from handlers.record import found_more as more
from steward.ports import DatasetInput, Evidence, MetricValue


def test_lineage_keeps_code_data_parameters_and_what_it_was_copied_from():
    evidence = Evidence(
        lineage={"git_commit": "abc", "run_id": "r1"},
        params={"C": "1.0"},
        inputs=(DatasetInput("cards", "d1", "training", "s3"),),
        environment={"python": "3.11"},
        copied_from="fraud-dev/3",
    )

    kept = lineage_record(evidence, {"data_version": "2026-02", "team": "risk"})

    assert kept == {
        "git_commit": "abc",
        "run_id": "r1",
        "params": {"C": "1.0"},
        "inputs": [
            {"name": "cards", "digest": "d1", "context": "training", "source_type": "s3"},
        ],
        "environment": {"python": "3.11"},
        "data": {"data_version": "2026-02"},
        "copied_from": "fraud-dev/3",
    }


def test_what_the_models_files_name_is_the_environment_where_the_run_says_nothing():
    evidence = Evidence(lineage={"run_id": "r1"}, environment={"python": "3.11.9"})

    kept = lineage_record(evidence, {}, {"python": "3.11.7", "scikit-learn": "1.5.2"})

    assert kept["environment"] == {"python": "3.11.9", "scikit-learn": "1.5.2"}


def test_too_much_is_cut_and_says_so():
    params = {f"p{number:04}": "x" * 6000 for number in range(MAX_PARAMS + 7)}

    kept = lineage_record(Evidence(params=params), {})

    assert kept["cut"] == {"params": 7}
    assert len(kept["params"]) == MAX_PARAMS
    assert {len(value) for value in kept["params"].values()} == {LONGEST_VALUE}


def test_every_metric_found_is_kept_and_the_one_that_decided_is_marked():
    evidence = Evidence(
        metrics=(
            MetricValue("auc_old", 0.92, "run", "r1"),
            MetricValue("test_auc", 0.91, "run", "r1", "holdout", "d1"),
            MetricValue("loss", None, "run", "r1"),
        )
    )
    auc = Found(Decimal("0.91"), "test_auc", "run", "r1", "holdout", "d1")

    kept = found_record(evidence, {"auc": auc})

    assert [(one["name"], one["value"], one["used_as"]) for one in kept] == [
        ("test_auc", "0.91", "auc"),
        ("auc_old", "0.92", None),
        ("loss", None, None),
    ]


def test_of_very_many_metrics_those_that_decided_are_kept_and_the_rest_is_counted():
    many = tuple(MetricValue(f"a{number:04}", 0.5, "run", "r1") for number in range(MAX_METRICS))
    evidence = Evidence(metrics=(*many, MetricValue("test_auc", 0.9, "run", "r1")))

    kept = found_record(evidence, {"auc": Found(Decimal("0.9"), "test_auc", "run", "r1")})

    assert kept[0]["used_as"] == "auc"
    assert (len(kept), more(evidence)) == (MAX_METRICS, 1)


def test_the_copy_that_a_run_holds_of_its_models_metric_is_no_other_value():
    on_model = MetricValue("f1", 0.8, "logged_model", "m-1", "holdout", "d1")
    evidence = Evidence(
        metrics=(on_model, MetricValue("f1", 0.8, "run", "r1"), MetricValue("f1", 0.7, "run", "r1"))
    )

    kept = found_record(evidence, {})

    assert [(one["value"], one["dataset"]) for one in kept] == [("0.8", "holdout"), ("0.7", None)]
    assert more(evidence) == 0
