"""What the routes of one replica share; made once by ``serving/app.py``."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request

from serving.heartbeat import Identity
from serving.predict import Predictor
from serving.reload import Reloader
from serving.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Room:
    """One replica's parts."""

    identity: Identity
    reloader: Reloader
    predictor: Predictor
    telemetry: Telemetry
    secrets: Sequence[bytes]


def room_of(request: Request) -> Room:
    """The room that the app was made with."""
    room: Room = request.app.state.room
    return room
