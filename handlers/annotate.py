"""Write where a version stands onto the version itself, as tags, for whoever looks at it in MLflow.

Where the policy names an alias for the challenger, that follows too.

Off the main walk: a tag that fails delays no promotion. Only tags that differ are written.
"""

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import quote

from handlers.aliases import keep_challenger
from handlers.approval_tags import CHANGED, mirror_of
from handlers.semantic_version import tag_to_write
from handlers.tagging import write_tags
from steward.errors import NotFoundError
from steward.events import Event, EventType, ModelRef
from steward.policy import Mode
from steward.ports import Done, Outcome, Services, Skipped, Verdict, VersionInfo, Wait

LONGEST_REASON = 500
LOOKS = 3
SOON = timedelta(seconds=2)


def annotate(event: Event, services: Services) -> Outcome:
    """Bring the tags of Steward up to the version's standing verdict; of a rollback, of both."""
    model, version = event.model, event.version
    if model is None or version is None:
        return Skipped("the event names no version")
    if services.mode == Mode.OBSERVE:
        return Skipped("mode observe: nothing is written")
    outcome = _annotate(event, services, model, version)
    if event.type != EventType.ROLLED_BACK or event.after is None:
        return outcome
    present = str(event.after)
    return _both({version: outcome, present: _annotate(event, services, model, present)})


def _both(outcomes: Mapping[str, Outcome]) -> Outcome:
    """What was written on the version that was left, and on the one that is Production again."""
    notes = [
        f"version {version}: {each.note}"
        for version, each in outcomes.items()
        if isinstance(each, Done)
    ]
    return Done(note="; ".join(notes)) if notes else next(iter(outcomes.values()))


def _annotate(event: Event, services: Services, model: ModelRef, version: str) -> Outcome:
    verdict = services.history.verdict(model, version)
    if verdict is None:
        return Skipped("no verdict yet")
    if event.type not in CHANGED and verdict.event_id not in (None, event.id):
        return _overtaken(services, model)
    if _is_being_promoted(event, verdict) and services.clock.now() < event.recorded_at + SOON:
        # The decision is a moment away and brings its own tags: do not write in its way.
        return Wait(event.recorded_at + SOON, "being decided", check_seconds=SOON.total_seconds())
    is_promotion = event.type == EventType.PROMOTED
    return _bring_up(services, model, version, verdict, is_promotion=is_promotion)


def _overtaken(services: Services, model: ModelRef) -> Done | Skipped:
    """A later event brings the tags; whether its alias was written, nobody knows who crashed."""
    told = "a later event brought its own tags"
    try:
        moved = keep_challenger(services, model)
    except NotFoundError:
        return Skipped("the model was deleted")
    return Done(note=f"{told}; {moved}") if moved else Skipped(told)


def _is_being_promoted(event: Event, verdict: Verdict) -> bool:
    return event.type == EventType.VALIDATED and verdict.verdict == "waiting"


def _bring_up(
    services: Services, model: ModelRef, version: str, verdict: Verdict, *, is_promotion: bool
) -> Done | Skipped:
    try:
        written = _write(services, model, version, verdict, is_promotion=is_promotion)
        moved = keep_challenger(services, model)
    except NotFoundError:
        return Skipped("the version was deleted")
    if not written and not moved:
        return Skipped("the tags say so already")
    told = [f"wrote {', '.join(sorted(written))}"] if written else []
    return Done(note="; ".join([*told, *filter(None, [moved])]))


def _write(
    services: Services, model: ModelRef, version: str, verdict: Verdict, *, is_promotion: bool
) -> set[str]:
    """Write, then look at the verdict again: two of us may write at once, the last one is right.

    Returns the keys that were written. NotFoundError when the version is gone, or goes meanwhile.
    """
    info = services.registry.version(model, version)
    number = _number(services, info, is_promotion=is_promotion)
    tags: dict[str, str | None] = dict(info.tags)
    written: set[str] = set()
    for _ in range(LOOKS):
        approval = mirror_of(model, version, verdict.verdict, services)
        wanted = {**approval, **number, **tags_of(verdict, model, version, services)}
        different = {key: value for key, value in wanted.items() if tags.get(key) != value}
        write_tags(services, model, version, different)
        tags |= different
        written |= different.keys()
        latest = services.history.verdict(model, version)
        if latest is None or latest == verdict:
            break
        verdict = latest
    return written


def _number(services: Services, info: VersionInfo, *, is_promotion: bool) -> dict[str, str]:
    if not services.policy.tags.semantic_version:
        return {}
    given = services.history.numbers(info.model).get(info.version)
    return tag_to_write(info, given, is_promotion=is_promotion)


def tags_of(
    verdict: Verdict, model: ModelRef, version: str, services: Services
) -> Mapping[str, str]:
    """The tags of a verdict; the address only where people can open one."""
    tags = {
        "steward.reason": _one_line("; ".join(verdict.reasons) or verdict.code or verdict.verdict),
        "steward.policy": verdict.policy or services.policy.ref,
    }
    if verdict.receipt:
        tags["steward.receipt"] = verdict.receipt
    if services.public_url:
        base, name = services.public_url.rstrip("/"), quote(model.name, safe="")
        tags["steward.url"] = f"{base}/api/v1/models/{name}/explain?version={quote(version)}"
    # Written last: whoever waits for the verdict then finds the reason beside it.
    return tags | {"steward.verdict": verdict.verdict}


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 1] + "…"
