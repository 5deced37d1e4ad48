"""GET .../versions: a model's versions by verdict, tags and recorded metrics, newest first."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Query

from handlers.measured import measured_metrics
from steward.journal import searching
from steward.journal.catalog import KnownModel, of_kind
from steward.journal.facets import STAGE
from steward.journal.searching import FoundVersion, Wanted
from webhook_receiver.api.access import ThisCaller
from webhook_receiver.api.conditions import metric_condition, tag_condition
from webhook_receiver.api.models import (
    EXAMPLE_VERDICT,
    ThisPlace,
    aliases_of,
    find_model,
    verdict_of,
)
from webhook_receiver.api.query import KNOWN_PARAMETERS, example
from webhook_receiver.problems import ProblemError
from webhook_receiver.room import ThisRoom

router = APIRouter(prefix="/api/v1/models", tags=["models"], dependencies=[KNOWN_PARAMETERS])
Condition = TypeVar("Condition")
Word = Literal[
    "waiting", "held", "rejected", "awaiting_approval", "promoted", "rolled_back", "none"
]


@router.get(
    "/{name}/versions",
    summary="Versions by metric, tag and verdict",
    responses=example(
        {
            "items": [
                {
                    "version": "7",
                    "stage": "None",
                    "aliases": [],
                    "is_production": False,
                    "tags": {"team": "risk"},
                    "metrics": {"auc": "0.871"},
                    "measured": {"auc": 0.868},
                    "found": {"test_auc": "0.871", "f1": "0.61"},
                    "verdict": EXAMPLE_VERDICT,
                    "links": {"explain": "/api/v1/models/fraud/explain?version=7"},
                }
            ],
            "next_cursor": None,
        }
    ),
)
def list_versions(  # noqa: PLR0917  # FastAPI fills them in
    room: ThisRoom,
    caller: ThisCaller,
    name: str,
    place: ThisPlace,
    metric: Annotated[
        list[str] | None, Query(max_length=20, description="`NAME OP NUMBER`, like `auc>=0.9`")
    ] = None,
    tag: Annotated[
        list[str] | None, Query(max_length=20, description="`KEY=VALUE`, `KEY!=VALUE` or `KEY`")
    ] = None,
    verdict: Annotated[Word | None, Query(description="Where it stands; `none`: never judged")] = (
        None
    ),
    cursor: Annotated[
        str | None, Query(pattern=r"^\d{1,18}$", description="`next_cursor` of the last page")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """All conditions must hold; `metric` and `tag` may be repeated.

    Tags are those last observed; metrics those that the last judgement found logged, by the
    policy's name or as logged; `measured` is what Steward itself measured of them. A page may be
    shorter than `limit`; follow `next_cursor` until it is null.
    """
    known = find_model(room, caller, place.model(name))
    metrics = _read(metric_condition, metric, "metric")
    tags = _read(tag_condition, tag, "tag")
    wanted = Wanted(
        tags=lambda found: all(one.holds(found) for one in tags),
        evidence=lambda found: all(one.holds(found) for one in metrics),
        verdict=verdict,
    )
    with room.journal.read() as connection:
        found, following = searching.search(connection, known, wanted, before=cursor, limit=limit)
    return {"items": [_item(known, each) for each in found], "next_cursor": following}


def _read(
    read: Callable[[str], Condition], texts: list[str] | None, parameter: str
) -> list[Condition]:
    """ProblemError (422) names the parameter and what was expected."""
    try:
        return [read(text) for text in texts or ()]
    except ValueError as error:
        raise ProblemError(422, "invalid", f"query.{parameter}: {error}.") from error


def _item(known: KnownModel, found: FoundVersion) -> dict[str, Any]:
    data: Mapping[str, Any] = found.judgement.data if found.judgement else {}
    name = quote(known.model.name, safe="")
    return {
        "version": found.version,
        "stage": found.facets.get(STAGE, "None"),
        "aliases": aliases_of(known, found.version),
        "is_production": known.production == found.version,
        "tags": of_kind(found.facets, "tag"),
        "metrics": {key: row["value"] for key, row in (data.get("metrics") or {}).items()},
        "measured": {key: row["value"] for key, row in measured_metrics(data).items()},
        "found": {row["name"]: row["value"] for row in data.get("found") or ()},
        "verdict": verdict_of(found.verdict),
        "links": {"explain": f"/api/v1/models/{name}/explain?version={found.version}"},
    }
