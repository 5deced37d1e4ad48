"""Fault 9: somebody who captured a delivery of MLflow's sends it again: within five minutes it is
known already, after that it is refused, and nothing is done either way."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select

from steward.journal.schema import attempts, dispatches, events
from steward.signing import TOLERANCE_SECONDS
from tests.acceptance.deliveries import created
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.senders import ask, events_of, journalled, letter, request
from tests.acceptance.faults.site import SECRET, Site
from tests.models import client_of
from tests.servers import CapturedRequest, HttpCapture, eventually

ALMOST_SECONDS = 3


def test_09_captured_delivery_replayed(site: Site, name: str) -> None:
    with _thief(site) as thief:
        version = site.register(name, auc=0.9)
        captured = eventually(lambda: _about(thief, name), 30)[0]
    site.await_verdict(name, version, "promoted")
    assert_sound(site, name)
    (event,) = events_of(site, name)
    before = _done(site, name)

    for _ in range(3):
        answer = ask(site, request(captured.body, _signature(captured)))
        assert answer == (202, {"event_id": event.id, "duplicate": True})
    elsewhere = ask(
        site, request(captured.body, _signature(captured), path="/webhooks/mlflow/another")
    )
    assert elsewhere == (202, {"event_id": event.id, "duplicate": True})

    assert_sound(site, name)
    assert _done(site, name) == before


def test_09_captured_delivery_replayed_until_it_is_too_old(site: Site, name: str) -> None:
    version = site.register(name, auc=0.9)
    site.await_verdict(name, version, "promoted")
    assert_sound(site, name)
    before = _done(site, name)
    almost = int(time.time()) - TOLERANCE_SECONDS + ALMOST_SECONDS
    message = letter(created(name, version), timestamp=almost)

    statuses: list[int] = []

    def is_refused() -> bool:
        answer = ask(site, message)
        assert answer is not None
        statuses.append(answer.status)
        return answer.status == 401

    eventually(is_refused, 10 * ALMOST_SECONDS, every_seconds=0.1)

    assert statuses[0] == 202
    assert set(statuses[:-1]) == {202}
    again = ask(site, message)
    assert again is not None
    assert (again.status, again.document["code"]) == (401, "bad_signature")
    assert_sound(site, name)
    assert _done(site, name) == before


@contextmanager
def _thief(site: Site) -> Iterator[HttpCapture]:
    """Gets what MLflow sends, signed with the secret that the site knows."""
    client = client_of(site.mlflow.url)
    with HttpCapture().running() as capture:
        hook = client.create_webhook(
            "the-thief", f"{capture.url}/", ["model_version.created"], secret=SECRET
        )
        try:
            yield capture
        finally:
            client.delete_webhook(hook.webhook_id)


def _about(thief: HttpCapture, model: str) -> list[CapturedRequest]:
    return [each for each in thief.requests if json.loads(each.body)["data"]["name"] == model]


def _signature(captured: CapturedRequest) -> dict[str, str | bytes]:
    headers: dict[str, str | bytes] = {}
    headers |= {k: v for k, v in captured.headers.items() if k.startswith("x-mlflow-")}
    assert len(headers) == 3
    return headers


def _done(site: Site, model: str) -> dict[str, Any]:
    """What was ever dispatched, tried, written and told about a model."""
    of_model = (
        select(dispatches.c.id, attempts.c.id)
        .join(events, events.c.id == dispatches.c.event_id)
        .outerjoin(attempts, attempts.c.dispatch_id == dispatches.c.id)
        .where(events.c.model == model)
    )
    return {
        "attempts": {tuple(row) for row in journalled(site, of_model)},
        "writes": [write for write in site.witness.writes if write.model == model],
        "messages": len(site.slack.bodies(model)),
    }
