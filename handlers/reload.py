"""Bring every replica to the champion: the next generation, told to all, checked, retried.

Runs in the model's lane ``fleet``, for ``registered_model.champion_changed``. A replica that misses
it learns what it should serve from the answer to its next heartbeat.
"""

from collections.abc import Sequence
from threading import Event as Signal
from time import monotonic

from handlers.changeover import tell_answer
from handlers.waiting import until_resumed
from steward.events import Event, EventType, ModelRef, NewEvent
from steward.policy import Mode
from steward.ports import Desired, Done, Outcome, Replica, ReplicaAnswer, Services, Skipped

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0

PROMOTED = frozenset({EventType.PROMOTED, EventType.VALIDATED})
ROLLED_BACK = frozenset({EventType.ROLLED_BACK, EventType.ROLLBACK_REQUESTED})


def reload(event: Event, services: Services) -> Outcome:
    """Tell the replicas, until each serves the version, refuses it, is gone, or time is up."""
    model, version = event.model, event.after
    if model is None or version is None:
        return Skipped("there is no Production version to serve")
    if services.mode != Mode.ACT:
        return Skipped(f"mode is {services.mode}: nothing is sent")
    champion = services.history.look(model).value("", "champion")
    if champion != version:
        return Skipped(f"superseded: Production is version {champion} by now")
    chain = services.history.chain(event.id)
    paused = services.history.paused(model)
    if paused and not any(cause.type in ROLLED_BACK for cause in chain):
        return until_resumed(paused, services)

    desired = services.history.next_generation(model, version, event)
    began = monotonic()
    answers = _tell_all(services, model, version, desired)
    is_finished = all(answer.ok for answer in answers)
    if is_finished and _was_finished(event, services):
        return Done(note="every live replica serves it; that was told before")
    ended = NewEvent(
        EventType.ROLLOUT_FINISHED if is_finished else EventType.ROLLOUT_FAILED,
        model=model,
        version=version,
        data={
            "generation": desired.generation,
            "version": version,
            "previous": event.before,
            "replicas": [tell_answer(answer) for answer in answers],
            "seconds": round(monotonic() - began, 3),
            "cause": cause_of(chain),
            "policy": services.policy.ref,
        },
    )
    return Done(events=(ended,))


def _was_finished(event: Event, services: Services) -> bool:
    """Whether this is a replay of a rollout that reached its end, which people were told."""
    caused = services.history.caused(event.id)
    return any(known.type == EventType.ROLLOUT_FINISHED for known in caused)


def cause_of(chain: Sequence[Event]) -> str:
    """Why the champion changed: a promotion, a rollback, or a person in the registry."""
    for cause in chain:
        if cause.type in ROLLED_BACK or cause.type == EventType.ROLLOUT_FAILED:
            return EventType.ROLLED_BACK.value
        if cause.type in PROMOTED:
            return EventType.PROMOTED.value
    return "person"


def _tell_all(
    services: Services, model: ModelRef, version: str, desired: Desired
) -> list[ReplicaAnswer]:
    """The last answer of each replica that is still alive.

    A refusal is an answer; only those that could not be reached are told again.
    """
    answers: dict[str, ReplicaAnswer] = {}
    told: Sequence[Replica] = services.fleet.replicas(model)
    deadline = monotonic() + services.policy.reload.timeout_seconds
    pause = FIRST_PAUSE_SECONDS
    while told:
        left = max(deadline - monotonic(), 0.1)
        for answer in services.fleet.reload(
            told, version, desired.generation, timeout_seconds=left
        ):
            answers[answer.replica.id] = answer
        if monotonic() + pause >= deadline or not _stragglers(answers):
            break
        Signal().wait(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        alive = {replica.id: replica for replica in services.fleet.replicas(model)}
        # Without a heartbeat a replica is gone, not failed.
        answers = {name: answer for name, answer in answers.items() if name in alive}
        told = [alive[name] for name in _stragglers(answers)]
    return list(answers.values())


def _stragglers(answers: dict[str, ReplicaAnswer]) -> list[str]:
    return [name for name, answer in answers.items() if not answer.ok and not answer.refused]
