"""All policies of one file: which one governs a model, and who is told of an event."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from steward.events import ModelRef
from steward.policy.channels import ChannelSpec
from steward.policy.model import Policy


@dataclass(frozen=True, slots=True)
class PolicySet:
    """One policy file, validated. ``channels`` are those that the file declares."""

    text: str
    hash: str
    file: str
    policies: tuple[Policy, ...]
    channels: Mapping[str, ChannelSpec] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, *, file: str = "steward.yaml") -> Self:
        """Read a policy file's text; ConfigurationError lists every problem with its line."""
        raise NotImplementedError

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a policy file; ConfigurationError when it is away or wrong."""
        raise NotImplementedError

    @classmethod
    def observe_only(cls) -> Self:
        """The policies without a file: every model is observed."""
        raise NotImplementedError

    @classmethod
    def built_in(cls) -> Self:
        """The policy of a registry that Steward itself made; ``steward policy init`` prints it."""
        raise NotImplementedError

    def governing(self, model: ModelRef, tags: Mapping[str, str] | None = None) -> Policy:
        """The first policy that matches; ``tags`` are the registered model's. Never None."""
        raise NotImplementedError

    def channels_for(
        self,
        model: ModelRef,
        event_type: str,
        tags: Mapping[str, str] | None = None,
        *,
        available: Iterable[str] = (),
    ) -> tuple[str, ...]:
        """Names of the channels told of an event; ``available`` are those of the settings."""
        raise NotImplementedError
