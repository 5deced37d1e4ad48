"""What nobody tells Steward of, it finds: metrics that come late, webhooks that never came."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from steward.clients.mlflow_webhooks import NAME_PREFIX
from steward.events import EventType
from tests.acceptance.deliveries import created, deliver
from tests.acceptance.installation import Installation
from tests.servers import eventually

REMEMBERED_SECONDS = 1.0  # how long the MLflow of `steward up` keeps what webhooks there are


def test_a_version_whose_metric_is_logged_later_waits_and_is_then_promoted(
    house: Installation, name: str
) -> None:
    version = house.register(name, auc=None)
    run_id = house.mlflow.get_model_version(name, version).run_id
    eventually(lambda: house.tags(name, version).get("steward.verdict") == "waiting", 5)
    assert "test_auc" in house.tags(name, version)["steward.reason"]

    house.mlflow.log_metric(run_id, "test_auc", 0.9)

    eventually(lambda: house.tags(name, version).get("steward.verdict") == "promoted", 12)
    late = house.only(model=name, type=EventType.VERSION_METRICS_LOGGED)
    assert late["seen_by"] == "poll"


def test_a_version_that_is_lost_by_the_webhook_is_found_by_the_poll(
    house: Installation, name: str
) -> None:
    with _webhook_off(house):
        version = house.register(name, auc=0.9)
        found = eventually(lambda: _created(house, name), 15)

    assert [each["seen_by"] for each in found] == ["poll"]
    assert house.verdict(name, version)["verdict"] == "promoted"


def test_a_delivery_of_what_the_poll_found_is_filed_under_the_same_event(
    house: Installation, name: str
) -> None:
    with _webhook_off(house):
        version = house.register(name, auc=0.9)
        (known,) = eventually(lambda: _created(house, name), 15)

    answer = deliver(house, created(name, version))

    assert answer.status_code == httpx.codes.ACCEPTED
    assert answer.json() == {"event_id": known["id"], "duplicate": True}
    (now,) = _created(house, name)
    assert now["seen_by"] == "both"


def test_a_version_that_both_saw_is_one_event(house: Installation, name: str) -> None:
    version = house.promote(name, auc=0.9)

    eventually(lambda: _created(house, name)[0]["seen_by"] == "both", 15)

    assert len(_created(house, name)) == 1
    promoted = house.events(model=name, version=version, type=EventType.PROMOTED)
    assert len(promoted) == 1


@pytest.mark.parametrize("change", ["description", "deletion", "rename"])
def test_a_change_that_mlflow_sends_no_webhook_for_becomes_an_event(
    house: Installation, name: str, change: str
) -> None:
    model = f"{name[:40]}-{change}"
    version = house.register(model, auc=0.5)
    assert house.verdict(model, version)["verdict"] == "rejected"
    # A poll must have met the model: no webhook tells when it was created, its identity.
    eventually(lambda: _created(house, model)[0]["seen_by"] == "both", 15)

    if change == "description":
        house.mlflow.update_model_version(model, version, description="what it is for")
        found = house.only(model=model, type=EventType.VERSION_UPDATED)
        assert found["data"]["after"] == "what it is for"
    elif change == "deletion":
        house.mlflow.delete_model_version(model, version)
        assert house.only(model=model, type=EventType.VERSION_DELETED)["version"] == version
    else:
        house.mlflow.rename_registered_model(model, f"{model}-2")
        found = house.only(type=EventType.MODEL_RENAMED, q=f"{model}-2")
        assert found["data"]["before"] == model


def _created(house: Installation, model: str) -> list[dict[str, object]]:
    return house.events(model=model, type=EventType.VERSION_CREATED)


@contextmanager
def _webhook_off(house: Installation) -> Iterator[None]:
    """Steward's webhook is disabled at MLflow, which remembers webhooks for a second."""
    (hook,) = (w for w in house.mlflow.list_webhooks() if w.name.startswith(NAME_PREFIX))
    house.mlflow.update_webhook(hook.webhook_id, status="DISABLED")
    try:
        _until_silent(house)
        yield
    finally:
        house.mlflow.update_webhook(hook.webhook_id, status="ACTIVE")


def _until_silent(house: Installation) -> None:
    """Until MLflow has forgotten the webhook: a model that is created is told to nobody."""
    began = time.monotonic()
    probes = iter(range(1000))

    def is_silent() -> bool:
        is_forgotten = time.monotonic() - began > 2 * REMEMBERED_SECONDS
        probe = f"probe-{time.time_ns()}-{next(probes)}"
        house.mlflow.create_registered_model(probe)
        (seen,) = eventually(lambda: house.events(model=probe), 15)
        # The poll may be faster than a webhook that is sent all the same.
        return bool(is_forgotten and seen["seen_by"] == "poll")

    eventually(is_silent, 30)
