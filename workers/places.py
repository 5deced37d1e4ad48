"""A worker's places outlive an outage of the broker: what cannot be acknowledged holds none.

Kombu counts a message of Redis as in work until Redis took its acknowledgement. Each that failed
would take a place for good, unless the connection is made anew, and nobody notices that it is lost
while every place is taken: then nothing is read. ``tasks`` adds the step to each worker.
"""

from collections.abc import Callable
from typing import Any

from celery import bootsteps
from celery.worker.consumer.tasks import Tasks
from kombu.transport.virtual import QoS


class PlacesStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Gives a place back whatever came of the acknowledgement; the journal knows of the work."""

    requires = (Tasks,)

    def start(self, parent: Any) -> None:
        """Whenever the consumer (re)connects; RabbitMQ counts by itself, with its connection."""
        qos = getattr(parent.task_consumer.channel, "qos", None)
        if isinstance(qos, QoS):
            qos.ack = _giving_back(qos, qos.ack)


def _giving_back(qos: QoS, acknowledge: Callable[[str], None]) -> Callable[[str], None]:
    def ack(delivery_tag: str) -> None:
        try:
            acknowledge(delivery_tag)
        finally:
            QoS.ack(qos, delivery_tag)

    return ack
