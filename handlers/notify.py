"""Tell people: one dispatch sends one event to one channel.

The target of the dispatch is the channel's name. Sent at most once a run as far as anybody can
know; where a crash or a silence left that open, it is sent again and says so. What the channel
certainly refused was not sent, and is tried again as new.
"""

from dataclasses import replace

from handlers.approvals import is_question
from handlers.messages import ROLLOUTS, compose
from handlers.rendering import render
from handlers.wording import Links
from steward.errors import TransientError
from steward.events import Event, EventType
from steward.policy import Mode
from steward.policy.channels import ALL
from steward.ports import Done, Outcome, Services, Skipped


def notify(event: Event, services: Services) -> Outcome:
    """Compose the message from the event and its causes, and send it."""
    work = services.work
    if services.mode == Mode.OBSERVE:
        return Skipped("mode observe: nobody is told")
    if event.type == EventType.APPROVAL_REQUESTED and not is_question(event):
        return Skipped("a person's request: people are told of the question that follows it")
    links = Links(services.registry_url, services.public_url)
    message = compose(event, services.history.chain(event.id), links)
    if message is None:
        return Skipped("there is nothing to tell")
    if event.type in ROLLOUTS and not _is_asked_for({event.type, message.topic}, services):
        return Skipped(f"{work.target} does not ask for {message.topic}")

    spec, channel = services.channel(work.target)
    key = f"notify/{work.dispatch_id}/{work.run}"
    request = {"channel": spec.name, "kind": spec.kind, "title": message.title}
    standing = services.ledger.begin_effect(key, "notification", request)
    if standing == "done":
        return Skipped("already sent")
    if standing == "unknown":
        message = replace(message, note="possibly sent before")

    try:
        answer = channel.send(render(message, key=key, templates_dir=services.templates_dir))
    except TransientError as error:
        if error.is_certain and standing == "new":
            services.ledger.refuse_effect(key, str(error))
        raise
    services.ledger.finish_effect(key, answer)
    return Done(note=f"sent by {spec.kind}: {answer}")


def _is_asked_for(event_types: set[str], services: Services) -> bool:
    """Whether the policy tells this channel of one of these.

    The end of a rollout is dispatched to whoever asks for any of the changes it may carry; which
    one it was is known only here.
    """
    names = {services.work.target, ALL}
    return any(
        event_types.intersection(entry.events) and names.intersection(entry.to)
        for entry in services.policy.notify
    )
