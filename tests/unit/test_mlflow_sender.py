"""What MLflow's payloads say of the registry, and which payloads are refused."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.errors import DeliveryRejected
from steward.events import ModelRef
from steward.journal.deliveries import News
from tests.deliveries import created, payload
from webhook_receiver.senders.mlflow import MlflowSender, parse_document
from webhook_receiver.senders.port import Letter

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LETTER = Letter("mlflow", "d-1", NOW)
SENDER = MlflowSender([b"secret"])


def parse(document: Any) -> News | None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return SENDER.parse(LETTER, body, "default")[0]


def refusal_of(document: Any) -> DeliveryRejected:
    with pytest.raises(DeliveryRejected) as refused:
        parse(document)
    return refused.value


@pytest.mark.parametrize(
    ("event", "data", "subject", "facet", "value", "version"),
    [
        ("registered_model.created", {"tags": {}}, "", "exists", True, None),
        ("model_version.created", {"version": "3"}, "3", "exists", True, "3"),
        ("model_version.deleted", {"version": "3"}, "3", "exists", None, "3"),
        (
            "model_version_tag.set",
            {"version": "3", "key": "k", "value": ""},
            *("3", "tag:k", "", "3"),
        ),
        ("model_version_tag.deleted", {"version": "3", "key": "k"}, "3", "tag:k", None, "3"),
        ("registered_model_tag.set", {"key": "k", "value": "v"}, "", "tag:k", "v", None),
        (
            "model_version_alias.created",
            {"alias": "champion", "version": "3"},
            *("", "alias:champion", "3", "3"),
        ),
        ("model_version_alias.deleted", {"alias": "champion"}, "", "alias:champion", None, None),
    ],
)
def test_each_event_is_about_one_facet(  # noqa: PLR0917  # a row of the table
    event: str, data: dict[str, Any], subject: str, facet: str, value: Any, version: str | None
):
    news = parse(payload(event, **data))

    assert news is not None
    assert news.model == ModelRef("fraud")
    assert (news.type, news.subject, news.facet) == (event, subject, facet)
    assert (news.value, news.version) == (value, version)
    assert news.data == {"name": "fraud", **data}


def test_a_new_version_brings_its_tags_and_description():
    news = parse(created(tags={"data": "v1", "odd": 3}, description="good"))

    assert news is not None
    assert (news.tags, news.description) == ({"data": "v1"}, "good")


def test_the_workspace_of_a_payload_is_not_believed():
    news = parse({**created(), "workspace": "another"})

    assert news is not None
    assert news.model == ModelRef("fraud", "default", "")


def test_the_route_names_the_registry():
    news, _ = SENDER.parse(LETTER, json.dumps(created()).encode(), "eu")

    assert news is not None
    assert (news.model, news.source) == (ModelRef("fraud", "eu"), "mlflow/eu")


@pytest.mark.parametrize(
    ("event", "model"),
    [("model_version.archived", ModelRef("fraud")), ("prompt.created", None)],
)
def test_an_unknown_type_is_news_without_a_facet(event: str, model: ModelRef | None):
    news = parse(payload(event))

    assert news is not None
    assert (news.type, news.model, news.facet) == (event, model, None)


@pytest.mark.parametrize(
    "event",
    [
        "rollback.requested",
        "model_version.promoted",
        "registered_model.champion_changed",
        "approval.approved",
    ],
)
def test_what_steward_alone_records_is_refused(event: str):
    assert refusal_of(payload(event)).reason == "not_a_registry_fact"


@pytest.mark.parametrize(
    "data",
    [
        {
            "name": "example_model",
            "version": "1",
            "source": "models:/123",
            "run_id": "abcd1234abcd5678",
            "tags": {"example_key": "example_value"},
            "description": "An example model version",
        },
        {"name": "example_model", "alias": "example_alias"},
        {"name": "example_prompt", "version": "1", "template": "Hello {{name}}!"},
        {"budget_policy_id": "bp-abc123"},
    ],
)
def test_mlflows_own_examples_are_a_test_delivery(data: dict[str, Any]):
    assert parse({"entity": "model_version", "action": "created", "data": data}) is None


def test_a_real_model_of_the_example_name_is_no_test():
    assert parse(created(name="example_model")) is not None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b'{"a": NaN}', 400),
        (b'{"a": 1e999}', 400),
        (b"[" * 100_000, 400),
        (b"9" * 5000, 400),
        (b"[]", 422),
        (b"null", 422),
        (b"{}", 422),
        ({"entity": "Model Version", "action": "created", "data": {}}, 422),
        ({"entity": "model_version", "action": 3, "data": {}}, 422),
        ({"entity": "model_version", "action": "created", "data": []}, 422),
        (payload("model_version.created"), 422),
        (payload("model_version.created", version=3), 422),
        (payload("model_version.created", version="3" * 65), 422),
        (payload("model_version_tag.set", version="1", key="k"), 422),
        (payload("model_version_tag.set", version="1", key="", value="v"), 422),
        (payload("registered_model.created", name="m" * 513), 422),
        (payload("registered_model.created", name="half\ud800"), 422),
        (payload("registered_model.created", name="nul\0"), 422),
        ({**created(), "more": [[[[{}]]]] * 70}, None),
        (json.dumps(created()).replace("null", "[" * 80 + "]" * 80).encode(), 422),
    ],
)
def test_what_cannot_be_read_or_kept_is_refused(body: Any, status: int | None):
    if status is None:
        assert parse(body) is not None
    else:
        assert refusal_of(body).status == status


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T12:00:01.5+00:00", NOW + timedelta(seconds=1.5)),
        ("2026-03-01T13:00:01+01:00", NOW + timedelta(seconds=1)),
        ("2026-03-01T12:00:01", NOW),
        ("9999-12-31T23:59:59-14:00", NOW),
        ("yesterday", NOW),
        (1772366400, NOW),
    ],
)
def test_the_payloads_time_counts_where_it_agrees_with_what_was_signed(text: Any, expected: Any):
    document = {**created(), "timestamp": text}

    assert SENDER.parse(LETTER, json.dumps(document).encode(), "default")[1] == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
FIELDS = st.sampled_from(["name", "version", "key", "value", "alias", "tags", "description"])
DOCUMENTS = st.fixed_dictionaries(
    {
        "entity": st.sampled_from(["registered_model", "model_version", "model_version_tag"])
        | st.just("model_version_alias")
        | JSON,
        "action": st.sampled_from(["created", "set", "deleted"]) | JSON,
        "data": st.dictionaries(FIELDS, st.text(max_size=9) | JSON) | JSON,
    },
    optional={"timestamp": JSON, "workspace": JSON},
)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_refused(body: bytes):
    try:
        parse(body)
    except DeliveryRejected as refused:
        assert refused.status in (400, 422)  # noqa: PT017  # either outcome is fine


@given(DOCUMENTS)
def test_any_document_of_nearly_the_right_form_is_read_or_refused(document: dict[str, Any]):
    try:
        news = parse_document(document, "default")
    except DeliveryRejected as refused:
        assert refused.status == 422  # noqa: PT017  # either outcome is fine
    else:
        assert news is None or news.type == f"{document['entity']}.{document['action']}"
