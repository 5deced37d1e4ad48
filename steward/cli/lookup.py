"""Finds what an operator named; what does not exist is answered with what does."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from steward.cli.api_client import Api, Document, path_of
from steward.errors import NotFoundError, StewardError

SHOWN = 5
PAGE = 500


def find_event(api: Api, event_id: str) -> Document:
    """One event with all that belongs to it; the beginning of its id is enough if it is the only.

    Raises:
        NotFoundError: there is none, and the sentence names the newest.
        StewardError: several begin like this.

    """
    try:
        return api.get(path_of("events", event_id))
    except NotFoundError:
        ids = [item["id"] for item in api.get("/events", {"q": event_id, "limit": PAGE})["items"]]
    matching = [each for each in ids if each.startswith(event_id.lower())]
    if len(matching) == 1:
        return api.get(path_of("events", matching[0]))
    if matching:
        shown = ", ".join(matching[:SHOWN])
        raise StewardError(f"{len(matching)} events begin with {event_id}: {shown} ...")
    newest = api.get("/events", {"limit": 1})["items"]
    exists = (
        f"The newest is {newest[0]['id']} ({newest[0]['type']} of {newest[0]['subject']})."
        if newest
        else "No event has been journalled yet."
    )
    raise NotFoundError(f"There is no event {event_id}. {exists} See: steward events list")


def get_model(
    api: Api, name: str, *parts: str, params: Mapping[str, Any], version: str | None = None
) -> Document:
    """GET what belongs to a model (and version). NotFoundError says which ones there are."""
    try:
        return api.get(path_of("models", name, *parts), params)
    except NotFoundError as error:
        raise NotFoundError(missing(api, name, version, params)) from error


def missing(api: Api, name: str, version: str | None, params: Mapping[str, Any]) -> str:
    """Says that a model, or its version, is not known, and which ones are."""
    place = {key: params.get(key) for key in ("registry", "workspace")}
    try:
        known = api.get(path_of("models", name), place)
    except NotFoundError:
        return _elsewhere(api, name, place) or _unknown(api, name)
    versions = [item["version"] for item in known["versions"]]
    if not versions:
        return f"Steward knows no version of {name}."
    more = f", the newest of {known['version_count']}" * (known["version_count"] > SHOWN)
    listed = ", ".join(versions[:SHOWN])
    return f"Steward knows no version {version} of {name}; its versions are {listed}{more}."


def require_model(api: Api, name: str) -> None:
    """NotFoundError where no registry has the model."""
    if not _places(api, name):
        raise NotFoundError(_unknown(api, name))


def _elsewhere(api: Api, name: str, place: Mapping[str, Any]) -> str | None:
    """Where the model is, if it is not where it was looked for."""
    if places := _places(api, name):
        asked = _place(place["registry"] or "default", place["workspace"])
        return f"Steward knows no {name} in {asked}, but in {' and in '.join(places)}."
    return None


def _places(api: Api, name: str) -> list[str]:
    items = api.get("/models", {"q": name, "limit": PAGE})["items"]
    return [_place(each["registry"], each["workspace"]) for each in items if each["name"] == name]


def _place(registry: str, workspace: str | None) -> str:
    return f"registry {registry}" + (f", workspace {workspace}" if workspace else "")


def _unknown(api: Api, name: str) -> str:
    names = [item["name"] for item in api.get("/models", {"limit": PAGE})["items"]]
    return f"Steward knows no model {name}. {_nearest(name, names)}"


def _nearest(name: str, names: list[str]) -> str:
    if not names:
        return "It knows no model yet: it learns of them by webhook or poll."
    close = get_close_matches(name, names, n=SHOWN, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    others = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"The models are {', '.join(names[:SHOWN])}{others}."
