"""Fault 5: the same delivery arrives a hundred times at the same moment: one event, one set of
dispatches, and every sender is told that it is safe."""

from contextlib import ExitStack

import pytest
from sqlalchemy import func, select

from steward.journal.schema import dispatches
from tests.acceptance.deliveries import created
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.senders import (
    connect,
    deliveries_of,
    events_of,
    journalled,
    letter,
    read_answer,
    unheard,
)
from tests.acceptance.faults.site import Site

TIMES = 100


@pytest.mark.parametrize("where", ["site", "site_on_postgresql"])
def test_05_one_delivery_a_hundred_times_at_once(
    request: pytest.FixtureRequest, name: str, where: str
) -> None:
    site: Site = request.getfixturevalue(where)
    with unheard(site):
        version = site.register(name, auc=0.9)
        message = letter(created(name, version), delivery_id=f"{name}-1")
        batches = site.metric("receiver", "steward_intake_batch_size_count")
        with ExitStack() as stack:
            senders = [stack.enter_context(connect(site)) for _ in range(TIMES)]
            for sender in senders:
                sender.sendall(message[:-1])
            for sender in senders:  # only now is any of them whole
                sender.sendall(message[-1:])
            answers = [read_answer(sender) for sender in senders]

    told = [answer for answer in answers if answer is not None]
    assert [answer.status for answer in told] == [202] * TIMES
    assert sum(not answer.document["duplicate"] for answer in told) == 1
    (event_id,) = {answer.document["event_id"] for answer in told}
    # They met: many shared a transaction.
    assert site.metric("receiver", "steward_intake_batch_size_count") - batches < TIMES / 2
    site.await_verdict(name, version, "promoted")
    assert_sound(site, name, acknowledged={f"{name}-1": event_id})
    assert [event.id for event in events_of(site, name)] == [event_id]
    kept = [delivery.delivery_id for delivery in deliveries_of(site, name)]
    assert kept.count(f"{name}-1") == 1
    table = dispatches.c
    counted = select(table.handler, func.count()).where(table.event_id == event_id)
    found = journalled(site, counted.group_by(table.handler, table.target))
    assert [tuple(row) for row in found] == [("validate", 1)]
