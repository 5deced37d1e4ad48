"""What is valid in a policy file but will hardly do what it says; ``steward policy check`` warns.

Judged on this machine: addresses of channels and files may be there on others.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Literal

from steward.cli.policy_rows import local_file, row_warnings
from steward.errors import ConfigurationError
from steward.policy import ChannelSpec, Policy, PolicySet
from steward.policy.installed import channel_recipients, channel_url, settings_channels
from steward.policy.lifecycle import endless_since
from steward.policy.summary import never_governs
from steward.settings import Settings

Opens = Literal["nothing", "files", "everything"]
_LIKE = 0.6
"""How alike two names are, of 1, where one may be meant for the other."""


def warnings(policies: PolicySet, settings: Settings, *, opens: Opens = "files") -> Iterator[str]:
    """Each in a sentence. ``opens``: which tables of rows are looked into, and how far."""
    for name in never_governs(policies):
        yield f"policy '{name}' never governs: one before it matches every model"
    for policy in policies.policies:
        yield from _approvers(policy)
        yield from _files(policy)
        if opens != "nothing":
            yield from row_warnings(policy, settings, opens_stores=opens == "everything")
        yield from _freezes(policy)
    yield from _channels(policies, settings)


def _approvers(policy: Policy) -> Iterator[str]:
    """A group's name with a wrong letter is the name of a person whom nobody knows."""
    groups = policy.groups
    people = {person for group in groups.values() for person in group}
    for name in policy.promote.approval.from_:
        if name in groups or name in people:
            continue
        for group in get_close_matches(name, groups, n=1, cutoff=_LIKE):
            yield (
                f"policy '{policy.name}': approval.from names {name}, which is no group of the "
                f"file, so it is taken for a person, the owner of a token; is {group} meant?"
            )


def _files(policy: Policy) -> Iterator[str]:
    holdout = policy.checks.holdout if policy.checks else None
    if holdout is None:
        return
    for key, address in (("uri", holdout.uri), ("reference", holdout.reference)):
        path = local_file(address) if address else None
        if path is not None and not path.is_file():
            yield (
                f"policy '{policy.name}': checks.holdout.{key} {address} is no file on this "
                f"machine ({path.absolute()}); each worker for validation needs it, seen from "
                "its working directory"
            )


def _freezes(policy: Policy) -> Iterator[str]:
    if since := endless_since(policy.freeze, datetime.now(UTC)):
        yield (
            f"policy '{policy.name}': its freeze never ends, from {since:%Y-%m-%d %H:%M} UTC on: "
            "one window follows on another, and automation promotes nothing"
        )


def _channels(policies: PolicySet, settings: Settings) -> Iterator[str]:
    for channel in policies.channels.values():
        if problem := _unset(channel):
            yield f"channel {channel.name}: {problem}"
    known = {*policies.channels, *settings_channels(settings), "all"}
    asked = [name for policy in policies.policies for n in policy.notify for name in n.to]
    for name in dict.fromkeys(asked):
        if name not in known:
            yield f"channel {name} is not configured in the settings"


def _unset(channel: ChannelSpec) -> str:
    try:
        _ = channel_recipients(channel) if channel.kind == "email" else channel_url(channel)
    except ConfigurationError as error:
        return str(error)
    return ""
