"""Everything that a handler is given: the dispatch at hand, the clock, and the ports."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from steward.policy import ChannelSpec, Mode, Policy
from steward.ports.channel import Channel
from steward.ports.datasets import Datasets, ModelStore
from steward.ports.fleet import Fleet
from steward.ports.history import History
from steward.ports.ledger import Ledger
from steward.ports.registry import Registry
from steward.ports.sandbox import Sandbox


class Clock(Protocol):
    """Where times come from."""

    def now(self) -> datetime:
        """The time now, aware, UTC."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """The dispatch at hand, as its handler may see it."""

    dispatch_id: str
    handler: str
    target: str = ""
    run: int = 1
    failures: int = 0
    created_at: datetime | None = None
    lane: str | None = None


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a handler may use. ``mode`` is the policy's, under the ceiling of the settings.

    ``templates_dir``: where the installation keeps its own message templates, if anywhere.
    """

    registry: Registry
    fleet: Fleet
    ledger: Ledger
    history: History
    clock: Clock
    policy: Policy
    mode: Mode
    work: Work
    channel: Callable[[str], tuple[ChannelSpec, Channel]]
    public_url: str = ""
    registry_url: str = ""
    templates_dir: Path | None = None
    sandbox: Sandbox | None = None
    datasets: Datasets | None = None
    store: ModelStore | None = None
