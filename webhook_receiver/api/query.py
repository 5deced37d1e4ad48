"""Query strings and filters of the operators' API: what is wrong in them is told, not ignored."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request
from fastapi.dependencies.models import Dependant
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from steward.events import ModelRef
from steward.journal.queries import EventFilter
from webhook_receiver.api.access import ThisCaller
from webhook_receiver.problems import ProblemError


def _aware(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Time = Annotated[datetime, AfterValidator(_aware)]
Name = Annotated[str, Field(min_length=1, max_length=512)]


class EventQuery(BaseModel):
    """Which events. ``*`` in type, model, version and source stands for anything."""

    model_config = ConfigDict(extra="forbid")

    type: Name | None = Field(None, description="Event type", examples=["model_version.created"])
    model: Name | None = Field(None, description="Registered model", examples=["fraud-*"])
    version: Name | None = Field(None, description="Model version", examples=["7"])
    status: Literal["open", "waiting", "done", "dead"] | None = Field(
        None, description="What became of it: a dispatch is unfinished, waits, all ended, one died"
    )
    source: Name | None = Field(None, description="Where it came from", examples=["mlflow/default"])
    seen_by: Literal["webhook", "poll", "both", "self"] | None = Field(
        None, description="How it was seen"
    )
    since: Time | None = Field(None, description="Recorded at or after (RFC 3339; UTC if unsaid)")
    until: Time | None = Field(None, description="Recorded before")
    registry: Name | None = Field(None, description="Registry", examples=["default"])
    workspace: str | None = Field(None, max_length=512, description="Workspace of the registry")
    q: Name | None = Field(None, description="Text in id, type, model, version or data")

    @model_validator(mode="before")
    @classmethod
    def _name_the_valid_ones(cls, values: Any) -> Any:
        unknown = sorted(set(values) - cls.model_fields.keys()) if isinstance(values, dict) else []
        if unknown:
            valid = ", ".join(sorted(cls.model_fields))
            raise ValueError(f"there is no filter {', '.join(unknown)[:200]}; there are {valid}")
        return values

    def to_filter(self) -> EventFilter:
        """The same question, as the journal asks it."""
        return EventFilter(
            type=self.type,
            model=self.model,
            version=self.version,
            status=self.status,
            source=self.source,
            seen_by=self.seen_by,
            since=self.since,
            until=self.until,
            text=self.q,
            registry=self.registry,
            workspace=self.workspace,
        )


class EventPageQuery(EventQuery):
    """Which page of events."""

    cursor: str | None = Field(None, max_length=200, description="`next_cursor` of the last page")
    limit: int = Field(50, ge=1, le=500)


class Place(BaseModel):
    """Where a model lives; needed only where one name is in several registries."""

    registry: str = Field("default", max_length=512)
    workspace: str = Field("", max_length=512)

    def model(self, name: str) -> ModelRef:
        """The model of this name there."""
        return ModelRef(name, self.registry, self.workspace)


def place_of(
    registry: Annotated[str, Query(max_length=512)] = "default",
    workspace: Annotated[str, Query(max_length=512)] = "",
) -> Place:
    """The place that a query string names."""
    return Place(registry=registry, workspace=workspace)


async def _refuse_unknown(request: Request, _caller: ThisCaller) -> None:
    """ProblemError (422) for a query parameter that the route does not take."""
    valid = _parameters(request.scope["route"].dependant)
    unknown = sorted(request.query_params.keys() - valid)
    if unknown:
        there = f"there are {', '.join(sorted(valid))}" if valid else "this call takes none"
        told = ", ".join(unknown)[:200]
        raise ProblemError(422, "invalid", f"There is no query parameter {told}; {there}.")


def _parameters(dependant: Dependant) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    return names.union(*(_parameters(each) for each in dependant.dependencies))


KNOWN_PARAMETERS = Depends(_refuse_unknown)
"""For routes and routers: a misspelt parameter is refused, after its caller is known."""


def example(document: Any, description: str = "Successful") -> dict[int | str, dict[str, Any]]:
    """What OpenAPI shows for 200."""
    return {200: shown(document, description)}


def shown(document: Any, description: str) -> dict[str, Any]:
    """One documented answer with its example."""
    return {"description": description, "content": {"application/json": {"example": document}}}
