"""The fast look: which models changed, by the registry's own list, newest first.

A page tells each model's aliases, tags and last change, so it shows which models to visit; what is
recorded comes from the visit, which looks before it asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from steward.events import ModelRef
from steward.journal.looking import ModelReading, has_news, looks
from steward.journal.store import Journal
from steward.ports import ModelInfo
from webhook_receiver.polling.means import Means
from webhook_receiver.polling.position import Position, key_of

PAGE = 100
FULL_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Listing:
    """What the registry listed, newest first."""

    models: tuple[ModelInfo, ...]
    pages: int

    def changed_since(self, position: Position, overlap: timedelta) -> list[ModelInfo]:
        """Models whose last change was not seen yet, in the order of their changes."""
        since = position.watermark - overlap if position.watermark else None
        return [
            info
            for info in reversed(self.models)
            if since is None
            or (
                info.updated_at >= since
                and position.seen.get(key_of(info.model)) != info.updated_at
            )
        ]

    def advance(self, position: Position, overlap: timedelta) -> Position:
        """The position once everything of this listing was read."""
        newest = [info.updated_at for info in self.models[:1]]
        if position.watermark:
            newest.append(position.watermark)
        if not newest:
            return position
        watermark = max(newest)
        seen = {key_of(info.model): info.updated_at for info in self.models}
        return Position(
            watermark,
            {key: at for key, at in seen.items() if at >= watermark - overlap},
            position.swept_to,
            position.asked_to,
        )


def list_models(means: Means, floor: datetime | None) -> Listing:
    """List models, newest first, down to a time (at least one page)."""
    found: dict[ModelRef, ModelInfo] = {}
    token, pages = None, 0
    while True:
        means.go_on()
        size = PAGE if floor or not pages else FULL_PAGE
        page = means.registry.models(page_token=token, max_results=size)
        pages += 1
        for info in page.models:  # the token is an offset: a row may come twice
            found.setdefault(info.model, info)
        token = page.next_token
        is_below = bool(floor and page.models and page.models[-1].updated_at < floor)
        if not token or is_below:
            return Listing(tuple(found.values()), pages)


def differing(journal: Journal, infos: list[ModelInfo]) -> list[ModelInfo]:
    """Models whose own facets (aliases, tags, description) are not as we knew."""
    known = looks(journal, [info.model for info in infos], subjects=[""])
    return [
        info
        for look, info in zip(known, infos, strict=True)
        if not look.is_baselined or has_news(ModelReading(look, info))
    ]


def renames(
    models: tuple[ModelInfo, ...], known: Mapping[ModelRef, datetime | None]
) -> list[tuple[ModelRef, ModelInfo]]:
    """Models under a name that is new to us, and known models that were created when they were.

    Oldest change first, so that a name that was freed by one rename can be taken by the next.
    """
    by_creation: dict[datetime, list[ModelRef]] = {}
    for model, created_at in known.items():
        if created_at:
            by_creation.setdefault(created_at, []).append(model)
    listed = {info.model: info.created_at for info in models}
    return [
        (candidate, info)
        for info in reversed(models)
        if known.get(info.model) != info.created_at
        for candidate in by_creation.get(info.created_at, ())
        if listed.get(candidate) != info.created_at and candidate.workspace == info.model.workspace
    ]
