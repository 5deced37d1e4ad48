"""GET .../versions/{v}/lineage: where a version came from, as its judgement recorded it."""

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter

from steward.journal import catalog, past, queries
from steward.journal.catalog import KnownModel, of_kind
from steward.journal.past import Snapshot
from webhook_receiver.api.access import ThisCaller
from webhook_receiver.api.models import ThisPlace, find_model, unknown_version
from webhook_receiver.api.origins import origin_of
from webhook_receiver.api.query import KNOWN_PARAMETERS, example
from webhook_receiver.room import ThisRoom

router = APIRouter(prefix="/api/v1/models", tags=["models"], dependencies=[KNOWN_PARAMETERS])


@router.get(
    "/{name}/versions/{version}/lineage",
    summary="Where a version came from: code, data, parameters, environment",
    responses=example(
        {
            "model": "fraud",
            "version": "7",
            "recorded_at": "2026-03-01T12:00:02+00:00",
            "event_id": "019a9d5e-4c1f-7c3a-8f0e-2f9f5f3f9a11",
            "note": None,
            "params": {"C": "0.5", "max_iter": "200"},
            "metrics": {"auc": {"name": "test_auc", "value": "0.871", "dataset": "holdout-2026q3"}},
            "measured": {"auc": {"metric": "roc_auc", "value": 0.868, "dataset": "q3", "n": 2000}},
            "found": [{"name": "f1", "value": "0.61", "origin": "run", "used_as": None}],
            "found_more": 0,
            "tags": {"team": "risk", "data_version": "2026-02"},
            "data": {
                "inputs": [{"name": "cards", "digest": "aebdeb52", "context": "training"}],
                "tags": {"data_version": "2026-02"},
            },
            "code": {"git_commit": "3f9a11c", "source_name": "train.py", "user": "ada"},
            "environment": {"python": "3.11.7", "sklearn": "1.5.2"},
            "environment_note": None,
            "run": {"run_id": "8c1f0e6b2d3a4f5e9a7b6c5d4e3f2a1b", "parent_run": "0a1b2c3d"},
            "copied_from": None,
            "cut": {},
            "links": {"explain": "/api/v1/models/fraud/explain?version=7"},
        }
    ),
)
def show_lineage(
    room: ThisRoom, caller: ThisCaller, name: str, version: str, place: ThisPlace
) -> dict[str, Any]:
    """Recorded when the version was judged; `tags` are those observed now.

    `cut` counts what was too much to keep; `note` says why nothing was recorded,
    `environment_note` why no environment.
    """
    known = find_model(room, caller, place.model(name))
    with room.journal.read() as connection:
        origin = read_origin(connection, known, version)
    path = quote(known.model.name, safe="")
    return {
        "model": known.model.name,
        "version": version,
        **origin,
        "links": {"explain": f"/api/v1/models/{path}/explain?version={version}"},
    }


def read_origin(connection: Snapshot, known: KnownModel, version: str) -> dict[str, Any]:
    """The recorded origin of one version. ProblemError (404) where nothing is known of it."""
    facets = catalog.version_facets(connection, known, version)
    judgement = past.judgements_of(connection, known.model, [version]).get(version)
    is_known = facets or judgement
    if not is_known and not queries.events_of(connection, known.model, version=version, limit=1):
        raise unknown_version(known.model, version)
    return origin_of(judgement, of_kind(facets, "tag"))
