"""The facets of observed state by name, and the event that a change of each one is."""

from typing import Any

from steward.events import EventType, ModelRef, NewEvent

EXISTS, STAGE, DESCRIPTION, CHAMPION, METRICS = (
    "exists",
    "stage",
    "description",
    "champion",
    "metrics",
)
NEW_VERSION_STAGE = "None"  # MLflow's word for no stage


def event_type(subject: str, facet: str, after: Any) -> str:  # noqa: PLR0911  # a table
    """The event that says a facet is now ``after`` (None is absent)."""
    is_version, is_gone = bool(subject), after is None
    kind = facet.partition(":")[0]
    if kind == EXISTS:
        if is_version:
            return EventType.VERSION_DELETED if is_gone else EventType.VERSION_CREATED
        return EventType.MODEL_DELETED if is_gone else EventType.MODEL_CREATED
    if kind == "tag" and is_version:
        return EventType.VERSION_TAG_DELETED if is_gone else EventType.VERSION_TAG_SET
    if kind == "tag":
        return EventType.MODEL_TAG_DELETED if is_gone else EventType.MODEL_TAG_SET
    if kind == "alias":
        return EventType.ALIAS_DELETED if is_gone else EventType.ALIAS_CREATED
    if kind == STAGE:
        return EventType.VERSION_TRANSITIONED
    if kind == CHAMPION:
        return EventType.CHAMPION_CHANGED
    if kind == METRICS:
        return EventType.VERSION_METRICS_LOGGED
    return EventType.VERSION_UPDATED if is_version else EventType.MODEL_UPDATED


def version_meant(facet: str, before: Any, after: Any) -> str | None:
    """Aliases and the champion belong to the model; their events still name a version."""
    if facet.startswith("alias:") or facet == CHAMPION:
        version = after if after is not None else before
        return str(version) if version is not None else None
    return None


def change(ref: ModelRef, subject: str, facet: str, before: Any, after: Any) -> NewEvent:
    """The event of a change that a reading found; a webhook brings its own."""
    return NewEvent(
        event_type(subject, facet, after),
        ref,
        subject or version_meant(facet, before, after),
        data={"key": facet.partition(":")[2]} if ":" in facet else {},
        source=f"mlflow/{ref.registry}",
    )
