"""What a handler returns, and what is hinted afterwards."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from steward.events import Event, NewEvent
from steward.ports.readings import Reading
from steward.ports.services import Services


@dataclass(frozen=True, slots=True)
class Done:
    """It was handled: new facts, and readings of the registry to be compared with what we knew."""

    events: tuple[NewEvent, ...] = ()
    readings: tuple[Reading, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """There was nothing to do; ``reason`` says why.

    ``then`` names handlers of the same event to dispatch now.
    """

    reason: str
    then: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet.

    Looked at again every ``check_seconds``, at once on news of the version, and at last at
    ``until``, when the handler must decide with what is there. ``then`` names handlers of the same
    event to dispatch meanwhile (``annotate`` writes "waiting" on the version). ``is_pause``: for
    the end of the model's pause, which also wakes it at once.
    """

    until: datetime
    reason: str
    check_seconds: float = 15.0
    then: tuple[str, ...] = ()
    is_pause: bool = False


Outcome = Done | Skipped | Wait
Handler = Callable[[Event, Services], Outcome]


@dataclass(frozen=True, slots=True)
class Hint:
    """What goes to the broker after a commit: the dispatch, its handler and its queue.

    ``is_patient`` lets everything that is not go first: a backlog, or what is replayed.
    """

    dispatch_id: str
    handler: str
    queue: str
    is_patient: bool = False
