"""How far an examination came: what it found, and why a step of it could not be made.

Called by ``examination``. Imports no numbers.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from handlers.checks import CheckResult, Status
from handlers.examined import Examination
from steward.errors import ModelUnfitError

_Given = TypeVar("_Given")


class Stopped(Exception):  # noqa: N818  # carries a result, not a fault of ours
    """A step cannot be made; ``result`` says why, as a check; ``level``: of the sandbox used."""

    def __init__(
        self, name: str, status: str, detail: str, brief: str = "", *, level: str = ""
    ) -> None:
        super().__init__(detail)
        self.level = level
        kind: Status = "fail" if status == "fail" else "error"
        self.result = CheckResult(name, kind, detail=detail, brief=brief)


def unfit(name: str, who: str, what: str, error: ModelUnfitError, level: str = "") -> Stopped:
    """A candidate that is at fault has failed; a champion that is leaves it unclear.

    What stands in the files is told everywhere, what the model said when it ran in detail alone.
    """
    status = "fail" if who == "candidate" else "error"
    told = f"the {who} {what}"
    brief = "" if error.reason == "content" else f"{told} ({error.reason})"
    return Stopped(name, status, f"{told}: {error}", brief, level=level)


@dataclass(slots=True)
class Progress:
    """What was found until a step stopped: one that cannot be made ends only what rests on it."""

    found: Examination = field(default_factory=lambda: Examination(()))
    is_stopped: bool = False

    def tried(self, step: Callable[[], _Given]) -> _Given | None:
        """What the step gives; None where it stopped, and its result says why."""
        try:
            return step()
        except Stopped as stopped:
            self.is_stopped = True
            self.add([stopped.result])
            self.found = replace(self.found, level=self.found.level or stopped.level)
            return None

    def add(self, results: Iterable[CheckResult]) -> None:
        self.found = replace(self.found, results=(*self.found.results, *results))
