"""The aliases beside the champion's, kept true: ``previous_champion``, and a challenger by policy.

Called by ``confirm`` when somebody moved one by hand, and by ``annotate`` when a verdict may have
made another version the challenger. In mode act alone.
"""

from collections.abc import Iterator

from handlers import production
from handlers.changeover import PREVIOUS_ALIAS
from handlers.decisions import is_older
from handlers.production import Production
from steward.events import ModelRef
from steward.policy import Mode
from steward.ports import Intent, Look, Reading, Services

OPEN = frozenset({"waiting", "held", "awaiting_approval"})
"""Verdicts of a version under judgement: something may still make it Production."""
MOST_LOOKED_AT = 50
LOOKS = 3


def keep(services: Services, look: Look, found: Production) -> tuple[Reading, ...]:
    """Put both where they belong; ``found`` is Production as it was just read.

    Returns the readings of what was written.
    """
    moved = dict(_wrong(services, found))
    _write(services, found.model, moved)
    return tuple(look.reading("", f"alias:{alias}", version) for alias, version in moved.items())


def keep_challenger(services: Services, model: ModelRef) -> str:
    """Put the challenger's alias where it belongs; says what was written, or nothing.

    Two of us may write at once, each by what it read: so it looks again after it wrote.
    """
    alias = services.policy.production.challenger_alias
    if alias is None or services.mode != Mode.ACT or services.history.paused(model):
        return ""
    told = ""
    for _ in range(LOOKS):
        found = production.read(services, model)
        wanted = _challenger(services, found)
        if found.aliases.get(alias) == wanted:
            break
        _write(services, model, {alias: wanted})
        told = f"{alias} is version {wanted}" if wanted else f"there is no {alias} any more"
    return told


def _wrong(services: Services, found: Production) -> Iterator[tuple[str, str | None]]:
    """Each alias that names another version than it should, and that version."""
    previous = _previous(services, found)
    if previous and found.aliases.get(PREVIOUS_ALIAS) != previous:
        yield PREVIOUS_ALIAS, previous
    if alias := services.policy.production.challenger_alias:
        challenger = _challenger(services, found)
        if found.aliases.get(alias) != challenger:
            yield alias, challenger


def _previous(services: Services, found: Production) -> str | None:
    """What was Production before, and is there still; None where nobody knows."""
    if found.version is None:
        return None
    past = services.history.champions(found.model)
    return next((v for v in past if v != found.version and v in found.versions), None)


def _challenger(services: Services, found: Production) -> str | None:
    """The newest version under judgement that is newer than Production, and not put away."""
    newest_first = sorted(found.versions, key=int, reverse=True)[:MOST_LOOKED_AT]
    for version in newest_first:
        if found.version and (version == found.version or is_older(version, found.version)):
            return None
        if found.versions[version].stage == "Archived":
            continue
        standing = services.history.verdict(found.model, version)
        if standing is not None and standing.verdict in OPEN:
            return version
    return None


def _write(services: Services, model: ModelRef, wanted: dict[str, str | None]) -> None:
    if not wanted:
        return
    services.ledger.intend(
        [Intent(model, "", f"alias:{alias}", version) for alias, version in wanted.items()]
    )
    for alias, version in wanted.items():
        if version is None:
            services.registry.delete_alias(model, alias)
        else:
            services.registry.set_alias(model, alias, version)
