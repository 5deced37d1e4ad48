"""What every step of a poll works with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from steward.journal.store import Journal
from steward.ports import Hint, ModelInfo, Registry, VersionInfo

ChampionOf = Callable[[ModelInfo, Sequence[VersionInfo]], str | None]


@dataclass(frozen=True, slots=True)
class Means:
    """The journal, the registry, and who is told.

    ``champion_of`` says who is Production by the policy in force, for models that are met for the
    first time. ``go_on`` is called before each request and raises when the poll must end.
    """

    journal: Journal
    registry: Registry
    hint: Callable[[Sequence[Hint]], None]
    champion_of: ChampionOf | None
    go_on: Callable[[], None]
