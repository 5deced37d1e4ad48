"""Where a model that nobody trusts is loaded and asked."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from steward.policy.sandbox import ALL_FORMATS, Format, Level
from steward.policy.sandbox import Sandbox as SandboxRules

if TYPE_CHECKING:  # they take a second to import, and most roles never need them
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model version's files on this machine: its directory, their digest and size."""

    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one examination may be given and may use.

    ``cpu_seconds`` is for all of it; ``memory_mib`` is beyond what the preloaded libraries take;
    ``wall_seconds`` is for loading, and again for each answer; ``trusted`` are exact names of
    functions, classes and loader modules that a model may use beside the ones of our own list.
    """

    min_level: Level = "L1"
    cpu_seconds: int = 60
    memory_mib: int = 4096
    wall_seconds: float = 120.0
    formats: tuple[Format, ...] = ALL_FORMATS
    trusted: tuple[str, ...] = ()

    @classmethod
    def of(cls, rules: SandboxRules) -> "SandboxLimits":
        """The limits that a policy's section ``sandbox`` sets."""
        return cls(
            min_level=rules.min_level,
            cpu_seconds=rules.cpu_s,
            memory_mib=rules.mem_mib,
            wall_seconds=rules.wall_s,
            formats=rules.formats,
            trusted=rules.trusted,
        )


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a loaded model.

    ``flavor``: the one that loaded it (``sklearn``, ``python_function``). ``classes``: a
    classifier's, in the order of its probabilities, as text; None for anything else.
    ``input_columns``: names and MLflow types of its signature, None without one; a column
    without a name is called by its position; ``optional_columns``: those that may be left out.
    ``requirements``: library to version, as recorded when it was logged (pinned, or else noted by a
    flavor), and ``python_version`` then; ``unpinned``: libraries that it requires in no exact
    version; ``libraries``: the versions that it was loaded with.
    """

    flavor: str
    classes: tuple[str, ...] | None = None
    input_columns: tuple[tuple[str, str], ...] | None = None
    requirements: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    optional_columns: frozenset[str] = frozenset()
    python_version: str = ""
    unpinned: frozenset[str] = frozenset()

    @property
    def made_with(self) -> dict[str, str]:
        """Python and the libraries that it was logged with, as far as its files say."""
        python = {"python": self.python_version} if self.python_version else {}
        return {**python, **self.requirements}


class SandboxedModel(Protocol):
    """One model, loaded in one child process, for one examination.

    Its methods raise ModelUnfitError when the model is at fault (an exception, a crash, a limit,
    a wrong output), PermanentError when rows cannot be sent (a column of mixed types), and
    TransientError when the sandbox is away.
    """

    @property
    def info(self) -> ModelFacts:
        """What is known of it since it was loaded."""
        ...

    def predict(self, features: "pd.DataFrame") -> "np.ndarray":
        """Score rows without labels.

        float64, of shape (n,) for a regression (the value) or a binary classifier (the probability
        of the positive class, ``classes[1]``), and (n, k) for the k classes of others. NaN and
        infinite values come through: a check judges them.
        """
        ...

    def time(self, features: "pd.DataFrame", *, rounds: int) -> list[float]:
        """Milliseconds of each of ``rounds`` calls with these rows, measured beside the model."""
        ...


class Sandbox(Protocol):
    """Where models that nobody trusts are loaded. ``level`` L1: a process; L2: without network."""

    @property
    def level(self) -> Level:
        """The level in force on this machine."""
        ...

    def open(
        self, files: ModelFiles, limits: SandboxLimits
    ) -> AbstractContextManager[SandboxedModel]:
        """Check the files' content, then load them in a new child; it ends with the context.

        Raises ModelUnfitError: refused content, or it does not load within its limits;
        PermanentError: this machine does not reach ``min_level``; TransientError: no child now.
        """
        ...
