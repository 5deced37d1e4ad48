"""What the parts of one receiver share; made once by ``create_app``."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from steward.journal.store import Journal
from steward.settings import Settings
from webhook_receiver.heartbeats import Heartbeats
from webhook_receiver.intake import Hinted, Intake
from webhook_receiver.readiness import Readiness
from webhook_receiver.tokens import TokenCache
from webhook_receiver.watch import VerdictWatch


@dataclass(frozen=True, slots=True)
class Room:
    """The journal and everything that stands on it."""

    settings: Settings
    journal: Journal
    hint: Hinted
    intake: Intake
    heartbeats: Heartbeats
    watch: VerdictWatch
    tokens: TokenCache
    readiness: Readiness

    @property
    def public_url(self) -> str:
        """Where people open this receiver."""
        return (self.settings.public_url or self.settings.receiver_url).rstrip("/")


def room_of(request: Request) -> Room:
    """The room of the application that serves this request."""
    room: Room = request.app.state.room
    return room


ThisRoom = Annotated[Room, Depends(room_of)]
