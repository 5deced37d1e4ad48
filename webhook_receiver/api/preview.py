"""Says what a replay of one dispatch would do now, for `dry_run`. Only reads the journal."""

from collections.abc import Mapping

from steward.events import Event
from steward.journal import catalog
from steward.journal.catalog import Standing
from steward.journal.replay_steps import Step
from steward.journal.store import Journal

_ACTIONS = {
    "refuse": "It is running now: nothing would be done.",
    "keep": "It ended well; mode `all` would repeat it.",
}
_OTHERS = {
    "validate": "Would judge version {version} again by the policy in force.",
    "annotate": "Would write the tags of version {version} where they differ from its verdict.",
    "confirm": "Would read from the registry which version is Production, and follow a change.",
    "rollback": "Would go back to an earlier Production, unless that was done already.",
    "notify": "Would send the message to {target} again.",
}


def sentences(journal: Journal, steps: list[Step], events: Mapping[str, Event]) -> list[str]:
    """One sentence for each step, in their order."""
    keys = {
        (event.model, event.version or "") for event in events.values() if event.model is not None
    }
    standings = catalog.standings(journal, sorted(keys, key=str))
    told = []
    for step in steps:
        event = events[step.event_id]
        standing = standings[event.model, event.version or ""] if event.model else None
        told.append(_sentence(step, event, standing))
    return told


def _sentence(step: Step, event: Event, standing: Standing | None) -> str:
    if step.action in _ACTIONS:
        return _ACTIONS[step.action]
    if step.handler == "promote" and standing:
        return _promote(event, standing)
    if step.handler == "reload" and standing:
        return _reload(event, standing)
    form = _OTHERS.get(step.handler, "Would run {handler} again.")
    return form.format(
        version=event.version, target=step.target or "its channel", handler=step.handler
    )


def _promote(event: Event, standing: Standing) -> str:
    version, production = event.version, standing.production
    if production == version:
        return f"Version {version} is Production already: nothing would be promoted."
    if production is None:
        return f"Would judge version {version} for promotion; there is no Production now."
    if _is_older(version, production):
        return (
            f"Would judge version {version}, which is older than Production "
            f"(version {production}), so it would not be promoted."
        )
    return (
        f"Would compare version {version} with Production (version {production}) and promote it "
        "only if it wins by the policy in force."
    )


def _reload(event: Event, standing: Standing) -> str:
    wanted = standing.production
    behind = [replica.id for replica in standing.replicas if replica.version != wanted]
    live = len(standing.replicas)
    if wanted is None:
        return "There is no Production now: no replica would be told."
    if not behind:
        return (
            f"All {live} live replicas serve version {wanted} already: each would be asked again."
        )
    return (
        f"Would tell {live} live replicas to serve version {wanted}, the Production of now; "
        f"{len(behind)} serve something else."
        + (f" (The event named version {event.version}.)" if event.version != wanted else "")
    )


def _is_older(version: str | None, production: str) -> bool:
    numbers = [each for each in (version, production) if each and each.isdigit()]
    return len(numbers) == 2 and int(numbers[0]) < int(numbers[1])  # noqa: PLR2004  # both are
