"""What ``steward db check`` finds: every part of a journal's condition in a sentence."""

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, text

from steward.journal.engines import sqlite_file
from steward.journal.migrate import HEAD, current_revision
from steward.journal.places import MOUNT_TABLE, mount_of
from steward.journal.processes import CLOCK_TOLERANCE_SECONDS, clock_skew
from steward.journal.soundness import WAL_RESET_IS_SAFE, open_file, problems_of
from steward.journal.store import Journal

LEAST_FREE_BYTES = 200 * 2**20
DURABLE = {"fsync": ("on",), "full_page_writes": ("on",)}
"""Settings of a PostgreSQL server without which a power cut loses or tears what was promised."""
Status = Literal["ok", "note", "failing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One part and how it is. A note is no fault of this journal; what fails needs somebody."""

    part: str
    status: Status
    detail: str


def examine(journal: Journal, *, mount_table: Path = MOUNT_TABLE) -> list[Finding]:
    """Look at everything.

    Raises:
        JournalUnavailableError: the database is away or locked.
        JournalDamagedError: the file is damaged so much that it cannot be read.

    """
    file = sqlite_file(journal.engine.url)
    found = [*_sqlite(file, mount_table)] if file else [*_postgresql(journal.engine, journal)]
    if any(each.part == "integrity" and each.status == "failing" for each in found):
        return found  # nothing is written to what is damaged
    found.insert(0, _revision(journal.engine))
    if found[0].status == "ok":
        found.append(_writes(journal))
        found.append(_clock(journal))
    return found


def _revision(engine: Engine) -> Finding:
    revision = current_revision(engine)
    if revision == HEAD:
        return Finding("revision", "ok", f"{HEAD}, as this program expects")
    if revision is None:
        detail = f"there are no tables yet; steward db upgrade makes them (revision {HEAD})"
    elif revision < HEAD:
        detail = f"{revision}, and this program expects {HEAD}: run steward db upgrade"
    else:
        detail = f"{revision}, newer than this program expects ({HEAD}): install a newer Steward"
    return Finding("revision", "failing", detail)


def _writes(journal: Journal) -> Finding:
    journal.try_write()
    return Finding("writes", "ok", "it takes writes")


def _clock(journal: Journal) -> Finding:
    seconds, _took = clock_skew(journal)
    detail = f"this machine's is {seconds:+.1f} s from the database's"
    if abs(seconds) > CLOCK_TOLERANCE_SECONDS:
        return Finding("clock", "failing", f"{detail}: let both follow the same time server")
    return Finding("clock", "ok", detail)


def _sqlite(file: Path, mount_table: Path) -> Iterator[Finding]:
    with open_file(file) as connection:
        problems = problems_of(connection, file) or _orphans(connection)
        whole = f"{file.stat().st_size / 1e6:.1f} MB read, nothing wrong"
        yield Finding("integrity", "failing" if problems else "ok", "; ".join(problems) or whole)
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        yield Finding("journal_mode", "ok" if mode == "wal" else "failing", mode)
    yield _sqlite_version(sqlite3.sqlite_version_info)
    mount = mount_of(file.parent, mount_table=mount_table)
    if mount is None:
        yield Finding("file_system", "note", "this system does not tell")
    else:
        detail = f"{mount.kind} on {mount.point}"
        wrong = f"{detail}: a network file system damages SQLite; use a disk, or PostgreSQL"
        yield Finding(
            "file_system",
            "failing" if mount.is_network else "ok",
            wrong if mount.is_network else detail,
        )
    free = shutil.disk_usage(file.parent).free
    room = f"{free / 1e9:.1f} GB free for {file}"
    yield Finding("disk", "ok" if free >= LEAST_FREE_BYTES else "failing", room)


def _orphans(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("PRAGMA foreign_key_check").fetchmany(5)
    return [f"row {row[1]} of {row[0]} names a row of {row[2]} that is not there" for row in rows]


def _sqlite_version(version: tuple[int, ...]) -> Finding:
    name = ".".join(map(str, version))
    if version >= WAL_RESET_IS_SAFE:
        return Finding("sqlite", "ok", name)
    detail = (
        f"{name} has the WAL-reset defect (fixed in {'.'.join(map(str, WAL_RESET_IS_SAFE))}); "
        "Steward avoids it: one process alone makes checkpoints. Open the file with nothing else"
    )
    return Finding("sqlite", "note", detail)


def _postgresql(engine: Engine, journal: Journal) -> Iterator[Finding]:
    with journal.read() as connection:
        yield Finding("postgresql", "ok", _show(connection, "server_version"))
        for setting, good in DURABLE.items():
            value = _show(connection, setting)
            wrong = (
                f"{value}: a power cut may lose or damage what was promised; set it to {good[0]}"
            )
            is_good = value in good
            yield Finding(setting, "ok" if is_good else "failing", value if is_good else wrong)
        default = _show_default(connection, "synchronous_commit")
        ours = f"{_show(connection, 'synchronous_commit')} for Steward's connections"
        note = f"{ours}; the server's own is {default}"
        is_same = default not in ("off", "local")
        yield Finding("synchronous_commit", "ok" if is_same else "note", ours if is_same else note)
        yield _connections(connection, engine)


def _connections(connection: Connection, engine: Engine) -> Finding:
    query = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    used = int(connection.execute(query).scalar_one())
    most = int(_show(connection, "max_connections"))
    pool: Any = engine.pool
    each = pool.size() + pool._max_overflow  # noqa: SLF001  # there is no other way to ask
    detail = f"{used} of {most} in use; a process of Steward takes up to {each}"
    return Finding("connections", "ok" if most - used >= each else "failing", detail)


def _show(connection: Connection, setting: str) -> str:
    query = text("SELECT current_setting(:name)")
    return str(connection.execute(query, {"name": setting}).scalar_one())


def _show_default(connection: Connection, setting: str) -> str:
    query = text("SELECT reset_val FROM pg_settings WHERE name = :name")
    return str(connection.execute(query, {"name": setting}).scalar_one())
