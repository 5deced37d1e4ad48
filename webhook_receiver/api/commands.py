"""What operators tell Steward to do: roll back, pause, resume. Each enters the loop as an event."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from steward.events import ModelRef
from steward.journal import catalog, champions, commands
from steward.journal.catalog import KnownModel
from steward.journal.facets import EXISTS
from webhook_receiver.api.access import ThisCaller
from webhook_receiver.api.models import ThisPlace, find_model
from webhook_receiver.api.query import KNOWN_PARAMETERS, Place, example, shown
from webhook_receiver.problems import ProblemError
from webhook_receiver.room import Room, ThisRoom

EXAMPLE_PAUSE: dict[str, Any] = {
    "scope": "everything",
    "reason": "incident 42",
    "actor": "ada",
    "since": "2026-03-01T12:00:00+00:00",
}
router = APIRouter(prefix="/api/v1", tags=["commands"])
_EVENT = {"event_id": "019a9d5e-4c1f-7c3a-8f0e-2f9f5f3f9a11"}
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: shown(_EVENT, "Journalled; follow it by GET /api/v1/events/{id}"),
    409: {"description": "What is known already forbids it"},
}
Reason = Annotated[str, Field(max_length=2000, validation_alias=AliasChoices("reason", "comment"))]


class RollbackBody(BaseModel):
    """Back to ``version``, or to the Production before this one."""

    model_config = ConfigDict(extra="forbid")

    version: str | None = Field(None, min_length=1, max_length=64)
    reason: Reason = ""


class PauseBody(Place):
    """Which model (none: everything) and why."""

    model_config = ConfigDict(extra="forbid")

    model_name: str | None = Field(None, min_length=1, max_length=512, validation_alias="model")
    reason: Reason = ""

    @property
    def target(self) -> ModelRef | None:
        """The model that is meant; None is everything."""
        return self.model(self.model_name) if self.model_name else None


@router.post(
    "/models/{name}/rollback",
    summary="Go back to an earlier Production",
    status_code=202,
    responses=_ACCEPTED,
)
def roll_back(
    room: ThisRoom, caller: ThisCaller, name: str, place: ThisPlace, body: RollbackBody
) -> dict[str, Any]:
    """The version rolled back from is not promoted again by automation. Also works while paused."""
    caller.need("operator", name)
    known = find_model(room, caller, place.model(name))
    _check_target(room, known, body.version)
    event_id, hints = commands.request_rollback(
        room.journal, known.model, version=body.version, actor=caller.name, reason=body.reason
    )
    room.hint(hints)
    return {"event_id": event_id}


@router.post("/pause", summary="Stop acting", status_code=202, responses=_ACCEPTED)
def pause(room: ThisRoom, caller: ThisCaller, body: PauseBody) -> dict[str, Any]:
    """Events go on being journalled; nothing is promoted, reloaded or rolled back by automation."""
    caller.need("operator", body.model_name)
    event_id = commands.pause(
        room.journal, body.target, actor=caller.name, reason=body.reason or "no reason given"
    )
    return {"event_id": event_id}


@router.post("/resume", summary="Act again", status_code=202, responses=_ACCEPTED)
def resume(room: ThisRoom, caller: ThisCaller, body: PauseBody) -> dict[str, Any]:
    """What waited is taken up at once."""
    caller.need("operator", body.model_name)
    event_id, hints = commands.resume(
        room.journal, body.target, actor=caller.name, reason=body.reason
    )
    if event_id is None:
        what = body.model_name or "Everything"
        raise ProblemError(
            409, "not_paused", f"{what} is not paused by itself; see GET /api/v1/pauses."
        )
    room.hint(hints)
    return {"event_id": event_id}


@router.get(
    "/pauses",
    dependencies=[KNOWN_PARAMETERS],
    summary="What is paused, by whom and why",
    responses=example({"items": [EXAMPLE_PAUSE]}),
)
def list_pauses(room: ThisRoom, _caller: ThisCaller) -> dict[str, Any]:
    """A scope is `everything` or registry/workspace/model."""
    return {"items": commands.paused_scopes(room.journal)}


def _check_target(room: Room, known: KnownModel, version: str | None) -> None:
    with room.journal.read() as connection:
        past = champions.past_champions(connection, known.model)
        facets = catalog.version_facets(connection, known, version) if version else {}
    name = known.model.name
    if version is None:
        if not [each for each in past if each != known.production]:
            raise ProblemError(
                409,
                "no_earlier_production",
                f"{name} had no Production before {known.production or 'now'} that the journal "
                f"knows of. To make another version Production: steward promote {name} VERSION.",
            )
    elif not facets.get(EXISTS):
        raise ProblemError(409, "unknown_version", f"{name} has no version {version}.")
    elif version == known.production:
        raise ProblemError(
            409, "already_production", f"Version {version} of {name} is Production already."
        )
    elif version not in past:
        raise ProblemError(
            409,
            "never_production",
            f"Version {version} of {name} never was Production, as far as the journal knows. To "
            f"make it Production by the gates: steward promote {name} {version}.",
        )
