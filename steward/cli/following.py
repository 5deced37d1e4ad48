"""Follows what a person asked for until it is known what became of it.

``rollback`` and the verbs of ``approvals`` ask, wait by :func:`follow` and end with :func:`tell`.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import typer

from handlers.wording import Rollout
from steward.cli import options, tables
from steward.cli.api_client import Api, RefusedError, path_of
from steward.cli.lookup import missing
from steward.errors import NotFoundError
from steward.events import Event

LOOK_EVERY_SECONDS = 0.5
ENDS = ("skipped", "dead")
Family = list[dict[str, Any]]
"""An event and all that came of it, each as GET /events/{id} answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of it; ``is_good`` is None while it is under way.

    ``version`` is the one that it ended with, where it was not named.
    """

    is_good: bool | None
    lines: tuple[str, ...]
    version: str | None = None


def ask(
    api: Api,
    path: str,
    body: dict[str, Any],
    *,
    model: str,
    version: str | None,
    place: dict[str, Any],
) -> str:
    """Post it; returns the event's id. NotFoundError says which models and versions there are."""
    try:
        return str(api.post(path, body, place)["event_id"])
    except (NotFoundError, RefusedError) as error:
        if isinstance(error, RefusedError) and error.code != "unknown_version":
            raise
        raise NotFoundError(missing(api, model, version, place)) from error


def follow(
    api: Api, event_id: str, timeout: timedelta, answer_of: Callable[[Family], Answer]
) -> Answer:
    """Look until it is known, or the time is up; each new state is a line on standard error."""
    deadline = time.monotonic() + timeout.total_seconds()
    told = ""
    while True:
        answer = answer_of(_family(api, event_id))
        if answer.is_good is not None or time.monotonic() >= deadline:
            return answer
        if answer.lines[-1] != told:
            told = answer.lines[-1]
            tables.say(told, err=True)
        time.sleep(LOOK_EVERY_SECONDS)


def _family(api: Api, event_id: str) -> Family:
    """An event and all that came of it, in the order of their causes."""
    family: Family = []
    edge = [event_id]
    while edge:
        found = [api.get(path_of("events", each)) for each in edge]
        family += found
        edge = [caused["id"] for each in found for caused in each["caused"]]
    return family


def tell(event_id: str, version: str | None, answer: Answer | None, *, as_json: bool) -> None:
    """Print the answer (None: nobody waited for it) and end with its exit code."""
    if as_json:
        told = {"is_good": answer.is_good, "reasons": list(answer.lines)} if answer else {}
        named = (answer.version if answer else None) or version
        tables.as_json({"event_id": event_id, "version": named, **told})
    elif answer:
        for line in answer.lines:
            tables.say(line)
    else:
        typer.echo(f"Asked for. To follow: steward events show {event_id}")
    if answer is None:
        return
    if answer.is_good is None:
        typer.echo(f"That was not in time. To follow: steward events show {event_id}", err=True)
        raise typer.Exit(options.NOT_IN_TIME)
    if not answer.is_good:
        typer.echo(f"More: steward events show {event_id}", err=True)
        raise typer.Exit(1)


def served(
    family: Family, events: dict[str, Event], lines: tuple[str, ...], version: str | None
) -> Answer:
    """What a change of Production came to on the replicas; ``lines`` tell of the change."""
    ended = events.get("rollout.finished") or events.get("rollout.failed")
    if ended:
        rollout = Rollout.read(ended)
        return Answer(not rollout.has_failed, (*lines, *rollout.lines), version)
    for dispatch in dispatches(family, "reload"):
        if dispatch["state"] in ENDS:
            told = f"Replicas were not told ({dispatch['state']}): {dispatch['note']}."
            return Answer(is_good=False, lines=(*lines, told), version=version)
    return Answer(None, (*lines, "The replicas are being told."), version)


def dispatches(family: Family, handler: str) -> Iterator[dict[str, Any]]:
    """The dispatches of a handler, oldest event first."""
    for each in family:
        yield from (one for one in each["dispatches"] if one["handler"] == handler)
