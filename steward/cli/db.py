"""``steward db upgrade | check | backup``: the journal's database; on the database itself."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from steward.cli import options, tables
from steward.errors import ConfigurationError
from steward.journal import backup as backups
from steward.journal import condition, migrate, opening
from steward.journal.engines import open_engine, parse_url, sqlite_file
from steward.journal.routing import Routing
from steward.journal.soundness import restore_commands
from steward.journal.store import Journal, told_as
from steward.settings import Settings, load_settings

BIG_BYTES = 64 * 2**20

app = typer.Typer(no_args_is_help=True, help="The journal's database: its tables, its condition.")


@app.command()
def upgrade(*, as_json: options.Json = False) -> None:
    """Bring the journal's tables to the revision of this program; make them where there are none.

    Every role does this at its start; a deployment may want it done once, before.
    """
    settings = load_settings()
    with _closing(Journal(opening.prepare(settings.journal_url), Routing({}))) as journal:
        with told_as("The journal cannot be opened"):
            before = migrate.current_revision(journal.engine)
        migrate.upgrade(journal)
    after, place = migrate.HEAD, _place(settings)
    if as_json:
        answer = {"journal": place, "from": before, "to": after, "changed": before != after}
        typer.echo(json.dumps(answer, indent=2))
    elif before == after:
        typer.echo(f"{place} is at revision {after}; there is nothing to do.")
    elif before is None:
        typer.echo(f"Made the tables of {place}, revision {after}.")
    else:
        typer.echo(f"Upgraded {place} from revision {before} to {after}.")


@app.command()
def check(*, as_json: options.Json = False) -> None:
    """Look at the journal's revision, integrity, settings, disk and clock. Reads all of it.

    Exit code: 0 all is well (notes are no fault), 1 something is not, 4 it cannot be reached.
    """
    settings = load_settings()
    _must_exist(settings)
    opened = Journal(open_engine(settings.journal_url), Routing({}))
    with _closing(opened) as journal, told_as("The journal cannot be opened"):
        found = condition.examine(journal)
    is_well = all(each.status != "failing" for each in found)
    if as_json:
        findings = [asdict(each) for each in found]
        answer = {"journal": _place(settings), "is_well": is_well, "findings": findings}
        typer.echo(json.dumps(answer, indent=2))
    else:
        typer.echo(f"{_place(settings)}: {'well' if is_well else 'not well'}")
        tables.table(
            ("part", "status", "detail"),
            [(each.part, each.status, each.detail) for each in found],
        )
    if not is_well:
        raise typer.Exit(1)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes (mode 0600).")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Copy a SQLite journal while Steward runs: whole, consistent and checked.

    For PostgreSQL it prints the pg_dump command instead, and exits with 1: nothing was copied.
    """
    settings = load_settings()
    url = parse_url(settings.journal_url)
    journal = sqlite_file(url)
    if journal is None:
        typer.echo(
            "PostgreSQL makes its own backups; nothing was copied. Run (the password is asked for, "
            "or taken from PGPASSWORD or ~/.pgpass):\n"
            f"  {backups.dump_command(url, file)}\n"
            "To restore it, with every Steward process stopped:\n"
            f"  {backups.restore_command(url, file)}"
        )
        raise typer.Exit(1)
    _must_exist(settings)
    began = time.monotonic()
    size = backups.back_up(journal, file, is_replacing=force, tell=_Progress().tell)
    typer.echo(
        f"Copied {journal} to {file}: {size / 1e6:.1f} MB in {time.monotonic() - began:.1f} s, "
        f"checked.\nTo restore it, with every Steward process stopped:\n"
        f"{restore_commands(journal, file.absolute())}\n"
        "What happened in the registry since the copy is then noted as late, and nothing is done "
        "about it."
    )


class _Progress:
    """A line on standard error at each tenth of a big copy."""

    def __init__(self) -> None:
        self._told = 0

    def tell(self, copied: int, total: int) -> None:
        tenths = copied * 10 // max(total, 1)
        if total >= BIG_BYTES and tenths > self._told:
            self._told = tenths
            typer.echo(f"{copied / 1e6:.0f} of {total / 1e6:.0f} MB", err=True)


def _place(settings: Settings) -> str:
    url = parse_url(settings.journal_url)
    file = sqlite_file(url)
    return str(file) if file else url.render_as_string(hide_password=True)


def _must_exist(settings: Settings) -> None:
    file = sqlite_file(parse_url(settings.journal_url))
    if file is not None and not file.exists():
        raise ConfigurationError(
            f"There is no journal {file}. Set STEWARD_DATA_DIR (or STEWARD_DATABASE_URL) to that "
            "of your installation; `steward up` prints it, `steward db upgrade` makes one."
        )


@contextmanager
def _closing(journal: Journal) -> Iterator[Journal]:
    try:
        yield journal
    finally:
        journal.close()
