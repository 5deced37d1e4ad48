"""What became of an approval, a rejection or a promotion: read from the events that it caused.

Called by ``approvals`` for each look at those events. Pure.
"""

from steward.cli.following import ENDS, Answer, Family, dispatches, served
from steward.events import Event


def answer_of(family: Family) -> Answer:
    """What a person's word came to, as far as its events tell."""
    said = Event.from_cloudevent(family[0]["event"])
    subject = f"{said.model} version {said.version}"
    events = {each["event"]["type"]: Event.from_cloudevent(each["event"]) for each in family[1:]}
    if said.type == "approval.rejected":
        return Answer(is_good=True, lines=(f"{subject} is rejected.",))
    if promoted := events.get("model_version.promoted"):
        lines = (f"{subject} is Production.", *_reasons(promoted))
        return served(family, events, lines, said.version)
    if asked := events.get("approval.requested"):
        is_counted = said.data.get("actor") in asked.data.get("given", ())
        is_good = is_counted if said.type == "approval.approved" else said.type == asked.type
        return Answer(is_good, (f"{subject} waits for approval.", *_reasons(asked)))
    for kind, told in (("model_version.rejected", "is rejected"), ("promotion.held", "is held")):
        if ended := events.get(kind):
            return Answer(is_good=False, lines=(f"{subject} {told}.", *_reasons(ended)))
    return _under_way(said, subject, family)


def _under_way(said: Event, subject: str, family: Family) -> Answer:
    for handler in ("promote", "validate"):
        for dispatch in dispatches(family, handler):
            note = str(dispatch["note"]).rstrip(".")
            if dispatch["state"] in ENDS:
                return Answer(is_good=False, lines=(f"{subject}: {note}.",))
            if handler == "promote" and dispatch["state"] == "succeeded":
                # The same question stands: what was asked for when people were to be asked.
                return Answer(said.type == "approval.requested", (f"{subject} {note}.",))
            if handler == "validate" and dispatch["state"] == "succeeded":
                return Answer(None, (f"{subject} is judged; what follows of it is decided.",))
            if note != "new":
                return Answer(None, (f"{subject}: {note}.",))
    return Answer(None, (f"{subject} is being judged.",))


def _reasons(event: Event) -> tuple[str, ...]:
    return tuple(f"  {reason}" for reason in event.data.get("reasons", ()))
