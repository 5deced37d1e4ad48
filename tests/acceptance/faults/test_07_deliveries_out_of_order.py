"""Fault 7: deliveries arrive in another order than things happened, the third version before the
first, an alias moved there and back: Production and what Steward knows end as the registry is."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from steward.events import EventType
from steward.journal.schema import models, observed
from tests.acceptance.deliveries import created
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.senders import ask, events_of, journalled, letter, unheard
from tests.acceptance.faults.site import Site
from tests.models import client_of
from tests.servers import eventually


def test_07_deliveries_out_of_order(site: Site, name: str) -> None:
    client = client_of(site.mlflow.url)
    with unheard(site):
        first, second, third = (site.register(name, auc=auc) for auc in (0.9, 0.94, 0.99))
        _deliver(site, created(name, third))
        site.await_verdict(name, third, "promoted")
        for older in (first, second):
            _deliver(site, created(name, older))
        site.await_verdict(name, first, "held")
        site.await_verdict(name, second, "held")

        moves = {"shadow": (first, second, first), "champion": (third, second, third)}
        for alias, versions in moves.items():
            for version in versions:
                client.set_registered_model_alias(name, alias, version)
            before, between, after = (
                _moved(name, alias, version, at) for at, version in enumerate(versions)
            )
            for late in (after, before, between):
                _deliver(site, late)
        eventually(lambda: not site.events(model=name, status="open"), 30)
        assert _known(site, name, "alias:shadow") == second  # as the last delivery said

    eventually(lambda: _known(site, name, "alias:shadow") == first, 30)
    assert_sound(site, name)
    assert _known(site, name, "alias:champion") == third
    assert site.witness.of(name, "alias", "champion") == [third]
    assert site.witness.of(name, "stage", "Production") == [third]
    assert len(events_of(site, name, EventType.CHAMPION_CHANGED)) == 1
    assert [event.version for event in events_of(site, name, EventType.PROMOTED)] == [third]


def _deliver(site: Site, document: Mapping[str, Any]) -> None:
    answer = ask(site, letter(document))
    assert answer is not None
    assert answer.status == 202, answer


def _moved(model: str, alias: str, version: str, at: int) -> dict[str, Any]:
    when = datetime.now(UTC) + timedelta(seconds=at - 3)
    return {
        "entity": "model_version_alias",
        "action": "created",
        "timestamp": when.isoformat(),
        "data": {"name": model, "alias": alias, "version": version},
    }


def _known(site: Site, model: str, facet: str) -> str | None:
    query = (
        select(observed.c.value)
        .join(models, models.c.id == observed.c.model_id)
        .where(models.c.name == model, observed.c.facet == facet)
    )
    return next((str(row.value) for row in journalled(site, query)), None)
