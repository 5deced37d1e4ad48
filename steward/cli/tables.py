"""What the operators' verbs print: tables, times, and text from outside made safe to show.

At a terminal a table is coloured and folded to its width; into a pipe each row is one line, whole.
Nothing is ever cut off.
"""

import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 10_000
UNSHOWABLE = "\N{REPLACEMENT CHARACTER}"
_STYLES = {
    "dead": "red",
    "rejected": "red",
    "failed": "red",
    "refuse": "red",
    "no": "red",
    "held": "yellow",
    "waiting": "yellow",
    "open": "yellow",
    "paused": "yellow",
    "promoted": "green",
    "succeeded": "green",
    "yes": "green",
    "ok": "green",
}


def is_terminal() -> bool:
    """Whether a person watches standard output."""
    return sys.stdout.isatty()


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under their headings."""
    console = console_of()
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        texts = [clean(value) for value in row]
        shown.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in texts))
    with console.capture() as capture:
        console.print(shown)
    for line in capture.get().splitlines():
        typer.echo(line.rstrip())


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print labels and values; pairs without a value are left out."""
    kept = [(label, clean(value)) for label, value in pairs if value not in (None, "", [], {}, ())]
    width = max((len(label) for label, _ in kept), default=0)
    for label, value in kept:
        say(value, indent=f"  {label.ljust(width)}  ")


def say(text: Any, *, indent: str = "", err: bool = False) -> None:
    """Print a text, wrapped at a terminal; its later lines stand under its first."""
    console = console_of(err=err)
    body, hanging = Text(clean(text)), " " * len(indent)
    if not console.is_terminal:
        typer.echo(f"{indent}{body.plain}".replace("\n", f"\n{hanging}"), err=err)
        return
    width = max(console.width - len(indent), 20)
    for number, line in enumerate(body.wrap(console, width, overflow="fold")):
        typer.echo((hanging if number else indent) + line.plain.rstrip(), err=err)


def heading(text: str) -> None:
    """Print a heading, apart from what was before."""
    typer.echo("")
    typer.secho(clean(text), bold=True)


def as_json(document: Any) -> None:
    """Print JSON for programs: complete, and stable from one version to the next."""
    typer.echo(json.dumps(document, indent=2))


def clean(value: Any) -> str:
    """Text as it may be shown: names and descriptions come from strangers and may hold escapes."""
    if value is None:
        return "-"
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else UNSHOWABLE for c in str(value))


def when(text: str | None) -> str:
    """An ISO time for people, in UTC; short where it is today's and a person watches."""
    if not text:
        return "-"
    time = datetime.fromisoformat(text).astimezone(UTC)
    if not is_terminal():
        return time.isoformat(timespec="seconds").replace("+00:00", "Z")
    is_today = time.date() == datetime.now(UTC).date()
    return f"{time:%H:%M:%S}" if is_today else f"{time:%Y-%m-%d %H:%M}"


def timeline(lines: Iterable[tuple[str | None, str]]) -> None:
    """Print what happened under its day and time (UTC); without a time: what belongs to it."""
    day = ""
    for at, text in lines:
        if at is None:
            say(text, indent=" " * 18)
            continue
        time = datetime.fromisoformat(at).astimezone(UTC)
        if f"{time:%Y-%m-%d}" != day:
            day = f"{time:%Y-%m-%d}"
            typer.echo(f"  {day} (UTC)")
        say(text, indent=f"  {time:%H:%M:%S}.{time.microsecond // 1000:03d}  ")


def ago(text: str | None) -> str:
    """How long ago an ISO time was, in one unit."""
    if not text:
        return "never"
    passed = (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if passed >= 2 * length:
            return f"{passed / length:.0f} {unit} ago"
    return f"{max(passed, 0):.0f} s ago"


def console_of(*, err: bool = False) -> Console:
    """The console of one stream; as wide as need be where nobody watches."""
    stream = sys.stderr if err else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def quoted(name: str) -> str:
    """A name as it can be pasted into a shell."""
    return shlex.quote(clean(name))
