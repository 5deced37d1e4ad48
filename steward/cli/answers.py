"""What became of an approval, a rejection or a promotion: read from the events that it caused."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from handlers.wording import Rollout
from steward.cli import tables
from steward.cli.api_client import Api, path_of
from steward.events import Event

LOOK_EVERY_SECONDS = 0.5
ENDS = ("skipped", "dead")
Family = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of it; ``is_good`` is None while it is under way."""

    is_good: bool | None
    lines: tuple[str, ...]


def wait_for(api: Api, event_id: str, timeout: timedelta) -> Answer:
    """Look until it is known, or the time is up."""
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


def answer_of(family: Family) -> Answer:
    """What a person's word came to, as far as its events tell."""
    said = Event.from_cloudevent(family[0]["event"])
    subject = f"{said.model} version {said.version}"
    events = {each["event"]["type"]: Event.from_cloudevent(each["event"]) for each in family[1:]}
    if said.type == "approval.rejected":
        return Answer(is_good=True, lines=(f"{subject} is rejected.",))
    if promoted := events.get("model_version.promoted"):
        return _promoted(subject, promoted, events, family)
    if asked := events.get("approval.requested"):
        is_counted = said.data.get("actor") in asked.data.get("given", ())
        is_good = is_counted if said.type == "approval.approved" else said.type == asked.type
        return Answer(is_good, (f"{subject} waits for approval.", *_reasons(asked)))
    for kind, told in (("model_version.rejected", "is rejected"), ("promotion.held", "is held")):
        if ended := events.get(kind):
            return Answer(is_good=False, lines=(f"{subject} {told}.", *_reasons(ended)))
    return _under_way(subject, family)


def _promoted(subject: str, promoted: Event, events: dict[str, Event], family: Family) -> Answer:
    lines = (f"{subject} is Production.", *_reasons(promoted))
    ended = events.get("rollout.finished") or events.get("rollout.failed")
    if ended:
        rollout = Rollout.read(ended)
        return Answer(not rollout.has_failed, (*lines, *rollout.lines))
    for dispatch in _dispatches(family, "reload"):
        if dispatch["state"] in ENDS:
            told = f"Replicas were not told ({dispatch['state']}): {dispatch['note']}."
            return Answer(is_good=False, lines=(*lines, told))
    return Answer(None, (*lines, "The replicas are being told."))


def _under_way(subject: str, family: Family) -> Answer:
    for handler in ("promote", "validate"):
        for dispatch in _dispatches(family, handler):
            note = str(dispatch["note"]).rstrip(".")
            if dispatch["state"] in ENDS:
                return Answer(is_good=False, lines=(f"{subject}: {note}.",))
            if handler == "promote" and dispatch["state"] == "succeeded":
                return Answer(is_good=True, lines=(f"{subject} {note or 'was judged'}.",))
            if note != "new":
                return Answer(None, (f"{subject}: {note}.",))
    return Answer(None, (f"{subject} is being judged.",))


def _reasons(event: Event) -> tuple[str, ...]:
    return tuple(f"  {reason}" for reason in event.data.get("reasons", ()))


def _dispatches(family: Family, handler: str) -> Iterator[dict[str, Any]]:
    for each in family:
        yield from (one for one in each["dispatches"] if one["handler"] == handler)
