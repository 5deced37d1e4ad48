"""The policy file as a whole: its version, its channels and its policies, as they are written."""

from typing import Literal

from pydantic import Field, SecretStr

from steward.policy.channels import ChannelSpec
from steward.policy.model import Policy, Texts
from steward.policy.require import Text
from steward.policy.section import Section


class Channel(Section):
    """One named channel: exactly one of the three."""

    slack: Text | None = None
    email: Texts | None = None
    apprise: Text | None = None

    def spec(self, name: str) -> ChannelSpec:
        """The channel as the rest of Steward knows it."""
        if self.email is not None:
            return ChannelSpec(name, "email", addresses=self.email)
        if self.slack is not None:
            return ChannelSpec(name, "slack", SecretStr(self.slack))
        return ChannelSpec(name, "apprise", SecretStr(self.apprise or ""))


class PolicyFile(Section):
    """Everything that ``steward.yaml`` may say. Numbers arrive as their text."""

    version: Literal["1"]
    channels: dict[str, Channel] = Field(default_factory=dict)
    groups: dict[Text, Texts] = Field(default_factory=dict)
    policies: tuple[Policy, ...]
