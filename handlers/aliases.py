"""The aliases beside the champion's, kept true: ``previous_champion``, and a challenger by policy.

Called by ``confirm`` when somebody moved one by hand or a pause ended, and by ``annotate`` when a
verdict may have made another version the challenger. In mode act alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from handlers import production
from handlers.decisions import is_older
from handlers.production import Production
from steward.events import ModelRef
from steward.policy import PREVIOUS_ALIAS, Mode
from steward.ports import Intent, Look, Reading, Services

LOOKS = 3
MOST_PUT_BACK = 3
PUT_BACK_WITHIN = timedelta(hours=1)
Wrong = Callable[[Services, Production], Iterator[tuple[str, str | None]]]


@dataclass(frozen=True, slots=True)
class Kept:
    """The readings of what was written; ``contested``: aliases that are left alone from now on."""

    readings: tuple[Reading, ...] = ()
    contested: tuple[str, ...] = ()


def keep(services: Services, look: Look, found: Production, *, is_about_champion: bool) -> Kept:
    """Put both where they belong; ``found`` is Production as it was just read.

    The past is looked up only for news of the champion or of the one before. Where somebody else
    writes an alias as often as we do, we are the one that stops.
    """
    is_news = found.version != look.value("", "champion")
    wrong = _wrong if is_about_champion or is_news else _wrong_challenger
    contested: set[str] = set()

    def wrong_and_ours(services: Services, found: Production) -> Iterator[tuple[str, str | None]]:
        for alias, version in wrong(services, found):
            times = 0 if is_news else _times_put_back(services, found.model, alias, version)
            if times < MOST_PUT_BACK:
                yield alias, version
            if times == MOST_PUT_BACK - 1:
                contested.add(alias)

    moved = _put_right(services, found, wrong_and_ours)
    readings = [look.reading("", f"alias:{alias}", version) for alias, version in moved.items()]
    return Kept(tuple(readings), tuple(sorted(contested)))


def _times_put_back(services: Services, model: ModelRef, alias: str, version: str | None) -> int:
    intent = Intent(model, "", f"alias:{alias}", version)
    since = services.clock.now() - PUT_BACK_WITHIN
    return services.ledger.times_intended(intent, since=since)


def keep_challenger(services: Services, model: ModelRef) -> str:
    """Put the challenger's alias where it belongs; says what was written, or nothing."""
    alias = services.policy.production.challenger_alias
    if alias is None or services.mode != Mode.ACT or services.history.paused(model):
        return ""
    moved = _put_right(services, production.read(services, model), _wrong_challenger)
    if alias not in moved:
        return ""
    version = moved[alias]
    return f"{alias} is version {version}" if version else f"there is no {alias} any more"


def _put_right(services: Services, found: Production, wrong: Wrong) -> dict[str, str | None]:
    """Write what is wrong until nothing is; returns each alias and what it was left at.

    Two of us may write at once, each by what it read: so it looks again after it wrote.
    """
    moved: dict[str, str | None] = {}
    for _ in range(LOOKS):
        wanted = dict(wrong(services, found))
        if not wanted:
            break
        _write(services, found.model, wanted)
        moved |= wanted
        found = production.read(services, found.model)
    return moved


def _wrong(services: Services, found: Production) -> Iterator[tuple[str, str | None]]:
    """Each alias that names another version than it should, and that version."""
    previous = _previous(services, found)
    if previous and found.aliases.get(PREVIOUS_ALIAS) != previous:
        yield PREVIOUS_ALIAS, previous
    yield from _wrong_challenger(services, found)


def _wrong_challenger(services: Services, found: Production) -> Iterator[tuple[str, str | None]]:
    """While nobody can tell what Production is, nothing is newer than it."""
    alias = services.policy.production.challenger_alias
    if alias and not found.problem:
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
    under_judgement = services.history.under_judgement(found.model)
    fit = [
        version
        for version, info in found.versions.items()
        if version in under_judgement and info.stage != "Archived" and _is_newer(version, found)
    ]
    return max(fit, key=int, default=None)


def _is_newer(version: str, found: Production) -> bool:
    present = found.version
    return present is None or (version != present and not is_older(version, present))


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
