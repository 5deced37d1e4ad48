"""GET .../compare: versions of one model side by side, with what differs marked."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from steward.journal import verdicts
from webhook_receiver.api.access import ThisCaller
from webhook_receiver.api.lineage import read_origin
from webhook_receiver.api.models import EXAMPLE_VERDICT, ThisPlace, find_model, verdict_of
from webhook_receiver.api.origins import side_by_side
from webhook_receiver.api.query import KNOWN_PARAMETERS, example
from webhook_receiver.problems import ProblemError
from webhook_receiver.room import ThisRoom

FEWEST, MOST = 2, 5
router = APIRouter(prefix="/api/v1/models", tags=["models"], dependencies=[KNOWN_PARAMETERS])


@router.get(
    "/{name}/compare",
    summary="Versions side by side: parameters, metrics, tags, data, code, environment",
    responses=example(
        {
            "model": "fraud",
            "versions": [
                {"version": "6", "is_production": True, "verdict": None, "note": None, "cut": {}},
                {"version": "7", "is_production": False, "verdict": EXAMPLE_VERDICT, "note": None},
            ],
            "groups": {
                "params": [{"key": "C", "values": ["1.0", "0.5"], "differs": True}],
                "metrics": [{"key": "auc", "values": ["0.862", "0.871"], "differs": True}],
                "tags": [{"key": "team", "values": ["risk", "risk"], "differs": False}],
                "data": [{"key": "cards (training)", "values": ["a1", "a1"], "differs": False}],
                "code": [{"key": "git_commit", "values": ["9c2bf5f", None], "differs": True}],
                "environment": [],
            },
        }
    ),
)
def compare(
    room: ThisRoom,
    caller: ThisCaller,
    name: str,
    place: ThisPlace,
    versions: Annotated[str, Query(max_length=400, description="Two to five, like `6,7`")],
) -> dict[str, Any]:
    """As the judgement of each version recorded it; `values` stand in the order of `versions`."""
    chosen = [each.strip() for each in versions.split(",") if each.strip()]
    if not FEWEST <= len(chosen) <= MOST or len(set(chosen)) < len(chosen):
        raise ProblemError(
            422, "invalid", "query.versions: expected two to five different versions, like 6,7."
        )
    known = find_model(room, caller, place.model(name))
    with room.journal.read() as connection:
        origins = [read_origin(connection, known, version) for version in chosen]
        standing = [
            verdicts.standing_verdict(connection, known.model, version) for version in chosen
        ]
    return {
        "model": known.model.name,
        "versions": [
            {
                "version": version,
                "is_production": known.production == version,
                "verdict": verdict_of(verdict),
                "note": origin["note"],
                "environment_note": origin["environment_note"],
                "cut": origin["cut"],
            }
            for version, verdict, origin in zip(chosen, standing, origins, strict=True)
        ],
        "groups": side_by_side(origins),
    }
