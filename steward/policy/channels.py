"""Channels: whom people are told through, as the policy file or the settings name them."""

import re
from dataclasses import dataclass, field
from typing import Literal

from pydantic import SecretStr

ChannelKind = Literal["slack", "email", "apprise"]
ALL = "all"
"""In ``notify.to``: every channel of the policy file and of the settings."""
FROM_SETTINGS = re.compile(r"slack|email|apprise(-[2-9]|-[1-9][0-9]+)?")
"""Names of the channels that settings alone make; a policy may use them undeclared."""


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """One channel: ``value`` is the URL of slack and apprise, ``addresses`` are those of email.

    Both keep ``${NAME}`` references as they were written; who sends asks
    :mod:`steward.policy.installed` to fill them in.
    """

    name: str
    kind: ChannelKind
    value: SecretStr = field(default=SecretStr(""))
    addresses: tuple[str, ...] = ()
