"""All policies of one file: which one governs a model, and who is told of an event."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from steward.errors import ConfigurationError
from steward.events import EventType, ModelRef
from steward.policy import document
from steward.policy.channels import ALL, ChannelSpec
from steward.policy.checks import NO_POLICY, TOLD_AFTER_ROLLOUT, problems
from steward.policy.document import Document, Problem
from steward.policy.explain import sentences
from steward.policy.file import PolicyFile
from steward.policy.model import Mode, Policy

_OBSERVE_ONLY = "version: 1\npolicies: []\n"


@dataclass(frozen=True, slots=True)
class PolicySet:
    """One policy file, validated. ``channels`` are those that the file declares.

    ``hash`` is the sha256 (hex) of ``text``, so ``sha256sum steward.yaml`` prints the same.
    """

    text: str
    hash: str
    file: str
    policies: tuple[Policy, ...]
    channels: Mapping[str, ChannelSpec] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, *, file: str = "steward.yaml") -> Self:
        """Read a policy file's text.

        Raises:
            ConfigurationError: with one line for each problem: file, line, what is wrong.

        """
        written = document.read(text)
        content = None if written.problems else _validated(written)
        if content is None:
            lines = [f"{file}{problem}" for problem in sorted(written.problems, key=_line)]
            raise ConfigurationError("\n".join(lines))
        digest = hashlib.sha256(text.encode()).hexdigest()
        return cls(
            text=text,
            hash=digest,
            file=file,
            policies=tuple(policy.of_file(digest, content.groups) for policy in content.policies),
            channels={name: channel.spec(name) for name, channel in content.channels.items()},
        )

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a policy file; ConfigurationError when it cannot be read or is wrong."""
        try:
            text = Path(path).read_bytes().decode()
        except OSError as error:
            raise ConfigurationError(f"The policy file {path}: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{path} is not UTF-8 text.") from error
        return cls.parse(text, file=str(path))

    @classmethod
    def observe_only(cls) -> Self:
        """The policies without a file: every model is observed."""
        return cls.parse(_OBSERVE_ONLY, file="no policy file")

    @classmethod
    def built_in(cls) -> Self:
        """The policy of a registry that Steward itself made; ``steward policy init`` prints it."""
        text = resources.files("steward.policy").joinpath("built_in.yaml").read_text("utf-8")
        return cls.parse(text, file="built-in policy")

    @property
    def asks_for_tags(self) -> bool:
        """Whether any policy matches by the tags of a registered model."""
        return any(policy.match.tags for policy in self.policies)

    def governing(self, model: ModelRef, tags: Mapping[str, str] | None = None) -> Policy:
        """The first policy that matches, else one that observes.

        ``tags`` are the registered model's; a policy that asks for tags needs them.
        """
        for policy in self.policies:
            if policy.match.pattern_for(model, tags or {}) is not None:
                return policy
        return Policy(name=NO_POLICY, mode=Mode.OBSERVE).of_file(self.hash)

    def channels_for(
        self,
        model: ModelRef | None,
        event_type: str,
        tags: Mapping[str, str] | None = None,
        *,
        available: Iterable[str] = (),
    ) -> tuple[str, ...]:
        """Names of the channels told of an event; ``available`` are those of the settings.

        The end of a rollout is also what those are told who asked for promotions, rollbacks or
        changes of the champion. A channel asked for by name stays in the answer when neither file
        nor settings have it, so that its absence is seen when it is used. An event about no model
        is told to those whom any policy tells of such events.
        """
        asked_as = {event_type}
        if event_type in (EventType.ROLLOUT_FINISHED, EventType.ROLLOUT_FAILED):
            asked_as |= TOLD_AFTER_ROLLOUT
        everyone = (*self.channels, *available)
        names: list[str] = []
        governing = self.policies if model is None else (self.governing(model, tags),)
        for entry in (entry for policy in governing for entry in policy.notify):
            if asked_as.intersection(entry.events):
                for name in entry.to:
                    names.extend(everyone if name == ALL else (name,))
        return tuple(dict.fromkeys(names))


def _validated(written: Document) -> PolicyFile | None:
    """The file's content; None after adding what is wrong to ``written.problems``."""
    found = []
    content = None
    try:
        content = PolicyFile.model_validate(written.data)
        found = list(problems(content))
    except ValidationError as error:
        found = sentences(error.errors())
    written.problems += [Problem(written.line_of(path), text) for path, text in found]
    return None if found else content


def _line(problem: Problem) -> int:
    return problem.line
