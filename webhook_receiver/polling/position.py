"""How far the poll of one registry has come; kept in the journal between polls and restarts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from steward.events import ModelRef

Key = tuple[str, str]  # workspace, name


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next poll goes on.

    ``watermark``: the registry's latest change that was read, None before the first complete poll;
    ``seen``: when each model changed last that changed not long before it; ``swept_to``: the model
    that the sweep's present round came to, None where a round is to begin; ``asked_to``: the held
    version whose metrics were asked for last.
    """

    watermark: datetime | None = None
    seen: Mapping[Key, datetime] = field(default_factory=dict)
    swept_to: Key | None = None
    asked_to: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What the journal keeps."""
        return {
            "watermark": self.watermark.isoformat() if self.watermark else None,
            "seen": [[*key, at.isoformat()] for key, at in sorted(self.seen.items())],
            "swept_to": list(self.swept_to) if self.swept_to else None,
            "asked_to": list(self.asked_to),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Position":
        """Read back what :meth:`to_json` wrote."""
        watermark, swept_to = kept.get("watermark"), kept.get("swept_to")
        return cls(
            _time(watermark) if watermark else None,
            {(workspace, name): _time(at) for workspace, name, at in kept.get("seen", ())},
            (swept_to[0], swept_to[1]) if swept_to else None,
            tuple(kept.get("asked_to", ())),
        )


def key_of(model: ModelRef) -> Key:
    """A model within its registry; models sort by it."""
    return model.workspace, model.name


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
