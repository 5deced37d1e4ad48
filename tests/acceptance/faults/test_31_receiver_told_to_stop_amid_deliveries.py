"""Fault 31: the receiver is told to stop amid 200 deliveries: what it answered with 202 is safe,
everybody else hears 503 or nothing and tries again, and it ends in time."""

import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from tests.acceptance.deliveries import created
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.senders import (
    Told,
    ask,
    connect,
    deliveries_of,
    letter,
    read_answer,
    unheard,
)
from tests.acceptance.faults.site import Site
from tests.servers import eventually

SENDERS = 200
WITHIN_SECONDS = 25.0
LATE_SECONDS = 1.5
"""So late that, with a slow journal, they still wait when the receiver stops waiting for them."""


@pytest.mark.parametrize("commit_seconds", [0.3, 3.5], ids=["drained", "cut-short"])
def test_31_receiver_told_to_stop_amid_deliveries(
    site: Site, name: str, commit_seconds: float
) -> None:
    with unheard(site), ExitStack() as stack:
        site.stop("receiver")
        site.start("receiver", failpoints=f"intake.after_commit=sleep:{commit_seconds}@*")
        messages = [
            letter(created(name, str(number)), delivery_id=f"{name}-{number}")
            for number in range(1, SENDERS + 1)
        ]
        senders = [stack.enter_context(connect(site)) for _ in messages]
        told_to_stop = threading.Event()
        with ThreadPoolExecutor(SENDERS) as pool:
            answers = pool.map(
                lambda each: _deliver(*each, told_to_stop),
                zip(range(SENDERS), senders, messages, strict=True),
            )
            safe = eventually(lambda: deliveries_of(site, name))  # a batch that is not answered
            site.children["receiver"].send(signal.SIGTERM)
            told_to_stop.set()
            took = site.stop("receiver", within=WITHIN_SECONDS)
            told = dict(zip(range(1, SENDERS + 1), answers, strict=True))
        assert took < WITHIN_SECONDS
        assert len(safe) < SENDERS, "everything was safe before it was told to stop"

        statuses = {answer.status if answer else None for answer in told.values()}
        assert 202 in statuses
        assert statuses <= {202, 503, None}, statuses
        durable = {row.delivery_id: row.event_id for row in deliveries_of(site, name)}
        acknowledged = {
            f"{name}-{number}": answer.document["event_id"]
            for number, answer in told.items()
            if answer and answer.status == 202
        }
        assert acknowledged.items() <= durable.items()

        site.start("receiver")
        for number, message in enumerate(messages, 1):
            if f"{name}-{number}" not in acknowledged:
                again = ask(site, message)
                assert again is not None
                assert again.status == 202
                assert again.document["duplicate"] == (f"{name}-{number}" in durable)
                acknowledged[f"{name}-{number}"] = again.document["event_id"]
    assert_sound(site, name, acknowledged=acknowledged, within=120)
    assert len(acknowledged) == SENDERS


def _deliver(
    number: int, connection: socket.socket, message: bytes, told_to_stop: threading.Event
) -> Told | None:
    """Most send at once; each fifth and tenth sends its last byte when the receiver is stopping."""
    with suppress(ConnectionError):
        connection.sendall(message[:-1])
        if number % 5 == 0:
            told_to_stop.wait(30)
        if number % 10 == 0:
            threading.Event().wait(LATE_SECONDS)
        connection.sendall(message[-1:])
        return read_answer(connection)
    return None
