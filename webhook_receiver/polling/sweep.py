"""The slow look: a slice of all models each poll, so that no poll costs much."""

import math
from collections.abc import Sequence

from steward.events import ModelRef
from webhook_receiver.polling.position import Key, key_of

VERSIONS_A_POLL = 2000
"""How many versions a poll's slice lists, on average; a round takes the longer for it."""


class Slices:
    """Cuts the slices. ``share`` of all models a poll, but at least ``smallest``."""

    def __init__(self, *, share: float, smallest: int) -> None:
        self._share = share
        self._smallest = smallest
        self._debt = 0

    def following(self, models: Sequence[ModelRef], swept_to: Key | None) -> list[ModelRef]:
        """The next slice of the models, which are in order; empty while earlier ones weigh on."""
        self._debt = max(0, self._debt - VERSIONS_A_POLL)
        if self._debt:
            return []
        rest = [model for model in models if swept_to is None or key_of(model) > swept_to]
        return rest[: max(self._smallest, math.ceil(len(models) * self._share))]

    def spend(self, versions: int) -> None:
        """Say how many versions a slice listed."""
        self._debt += versions
