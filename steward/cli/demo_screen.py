"""What `steward demo` prints: phases while they last, lines that stay, one table row a version."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

_COLUMNS = (
    ("time", 8),
    ("version", 7),
    ("test_auc", 8),
    ("against", 11),
    ("verdict", 37),
    ("replicas", 8),
    ("seen by", 7),
    ("s", 5),
)
_STYLES = {"promoted": "green", "held": "yellow", "rejected": "red"}


@dataclass(frozen=True, slots=True)
class Row:
    """One version: what Steward decided on which numbers, and what the replicas then serve."""

    at: datetime
    version: str
    metric: str
    against: str
    verdict: str
    told: str
    serving: tuple[str, ...]
    seen_by: str
    seconds: float


class Screen:
    """Prints to a terminal or, plainly, to a file."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)

    def say(self, text: str = "") -> None:
        """A line that stays, as it is."""
        self._console.print(text, markup=False)

    def quote(self, text: str) -> None:
        """Somebody else's words, indented."""
        self.say(textwrap.indent(text.strip(), "  | ", predicate=lambda _line: True))

    @contextmanager
    def phase(self, text: str) -> Iterator[None]:
        """What goes on now: with a clock on a terminal, as a line elsewhere."""
        if not self._console.is_terminal:
            self.say(f"... {text}")
            yield
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            progress.add_task(text, total=None)
            yield

    def header(self) -> None:
        """The names of the columns."""
        self._console.print(_line([name for name, _ in _COLUMNS]), style="bold", markup=False)

    def row(self, row: Row) -> None:
        """One version."""
        cells = [
            row.at.astimezone().strftime("%H:%M:%S"),
            row.version,
            row.metric,
            row.against,
            f"{row.verdict}: {row.told}",
            " ".join(row.serving),
            row.seen_by,
            f"{row.seconds:.1f}",
        ]
        line = Text(_line(cells))
        line.highlight_words([f"{row.verdict}:"], style=_STYLES.get(row.verdict, "magenta"))
        self._console.print(line)


def _line(cells: list[str]) -> str:
    shown = [
        textwrap.shorten(cell, width, placeholder="...").ljust(width)
        for cell, (_, width) in zip(cells, _COLUMNS, strict=True)
    ]
    return " ".join(shown).rstrip()
