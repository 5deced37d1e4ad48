"""The language of version searches: what it understands, and what it says to what it does not."""

from typing import Any

import pytest

from webhook_receiver.api.conditions import metric_condition, tag_condition

EVIDENCE: dict[str, Any] = {
    "metrics": {"auc": {"name": "test_auc", "value": "0.91"}},
    "found": [
        {"name": "test_auc", "value": "0.91", "origin": "run"},
        {"name": "f1", "value": "0.6", "origin": "run"},
        {"name": "f1", "value": "0.7", "origin": "logged_model"},
        {"name": "loss", "value": None, "origin": "run"},
        {"name": "claimed", "value": "0.99", "origin": "tag"},
    ],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auc>=0.91", True),
        ("auc > 0.91", False),
        ("auc<=0.91", True),
        ("auc<0.92", True),
        ("auc=0.910", True),
        ("auc==0.91", True),
        ("auc!=0.91", False),
        ("test_auc>0.9", True),
        ("f1>=0.65", True),
        ("f1>=7e-1", True),
        ("f1>0.7", False),
        ("loss<1", False),
        ("claimed>0.5", False),
        ("nothing!=1", False),
    ],
)
def test_a_metric_is_searched_by_the_policys_name_or_as_it_was_logged(text: str, expected: bool):
    assert metric_condition(text).holds(EVIDENCE) is expected


@pytest.mark.parametrize("text", ["auc", "auc>", ">0.9", "auc=>0.9", "0.8<auc<0.9", ""])
def test_what_is_no_condition_on_a_metric_is_told_what_one_is(text: str):
    with pytest.raises(ValueError, match="expected NAME, one of >= <= > < = !=, and a number"):
        metric_condition(text)


@pytest.mark.parametrize("text", ["auc>high", "auc>=nan", "auc<inf", "auc>1,5"])
def test_what_is_no_number_is_named(text: str):
    with pytest.raises(ValueError, match=r"is no number; expected one like 0\.9"):
        metric_condition(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("team=risk", True),
        ("team = risk", True),
        ("team=fraud", False),
        ("team!=fraud", True),
        ("owner!=ada", True),
        ("team", True),
        ("owner", False),
        ("empty=", True),
        ("query=a=b", True),
    ],
)
def test_a_tag_is_searched_by_value_or_by_being_there(text: str, expected: bool):
    tags = {"team": "risk", "empty": "", "query": "a=b"}

    assert tag_condition(text).holds(tags) is expected


@pytest.mark.parametrize("text", ["", "=risk", "!=risk", "a!b"])
def test_what_is_no_condition_on_a_tag_is_told_what_one_is(text: str):
    with pytest.raises(ValueError, match="expected KEY=VALUE, KEY!=VALUE, or KEY alone"):
        tag_condition(text)
