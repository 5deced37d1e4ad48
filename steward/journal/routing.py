"""Which dispatches an event gets: the table of handlers, seen from the journal.

The table itself is `handlers.ROUTES`; it is handed in, because the ground knows no room.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from steward.events import ModelRef

ChannelsFor = Callable[[ModelRef | None, str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Planned:
    """One dispatch to be made: handler, target (a channel, or ""), queue and lane."""

    handler: str
    target: str
    queue: str
    lane: str | None


def no_channels(_model: ModelRef | None, _event_type: str) -> tuple[str, ...]:
    """For processes and tests that tell nobody."""
    return ()


@dataclass(frozen=True)
class Routing:
    """The tables of ``handlers/__init__`` and the channels that the active policy names."""

    routes: Mapping[str, tuple[str, ...]]
    lanes: Mapping[str, str] = field(default_factory=dict)
    queues: Mapping[str, str] = field(default_factory=dict)
    per_channel: frozenset[str] = frozenset()

    def plan(
        self,
        event_type: str,
        model: ModelRef | None,
        data: Mapping[str, Any],
        channels_for: ChannelsFor = no_channels,
    ) -> list[Planned]:
        """The dispatches of one event.

        People hear of a promotion or rollback with its rollout's result, so the rollout's events
        are also told to whoever asked for what caused them.
        """
        planned: list[Planned] = []
        for handler in self.routes.get(event_type, ()):
            targets: tuple[str, ...] = ("",)
            if handler in self.per_channel:
                told = (event_type, *filter(None, [data.get("cause")]))
                targets = tuple(
                    dict.fromkeys(c for each in told for c in channels_for(model, each))
                )
            planned.extend(self._planned(handler, target, model) for target in targets)
        return planned

    def planned_for(self, handlers: tuple[str, ...], model: ModelRef | None) -> list[Planned]:
        """Dispatches of named handlers (those that a waiting handler asks for)."""
        return [self._planned(handler, "", model) for handler in handlers]

    def _planned(self, handler: str, target: str, model: ModelRef | None) -> Planned:
        kind = self.lanes.get(handler)
        return Planned(
            handler=handler,
            target=target,
            queue=self.queues.get(handler, "default"),
            lane=model.lane(kind) if kind and model else None,
        )
