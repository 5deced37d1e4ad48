"""Statements about many rows: fast inserts, and lists of keys in parts that a database takes.

Inserts are what most of the intake's time would otherwise go into: SQLAlchemy prepares the
parameters of each row by a general road; here the statement is compiled once a table, and each row
is a walk over its columns.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")
CHUNK = 400
"""Keys in one statement. SQLite takes 32766 variables, and a key may need six."""


def chunks(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    """The keys in parts, each small enough for the IN lists of one statement."""
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]


def insert_many(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    ignores_existing: bool = False,
) -> None:
    """Insert rows that all have the same columns; one that exists is left alone, if so asked."""
    if not rows:
        return
    sql, to_parameters = _plan(connection.dialect, table, tuple(rows[0]), ignores_existing)
    connection.exec_driver_sql(sql, [to_parameters(row) for row in rows])


@lru_cache(maxsize=64)
def _plan(
    dialect: Dialect, table: Table, names: tuple[str, ...], ignores_existing: bool
) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
    kind = postgresql if dialect.name == "postgresql" else sqlite
    statement: Any = kind.insert(table)
    if ignores_existing:
        statement = statement.on_conflict_do_nothing()
    compiled: Any = statement.inline().compile(dialect=dialect, column_keys=names)
    ordered = compiled.positiontup if compiled.positional else list(names)
    binds = [
        (name, table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in ordered
    ]

    def as_tuple(row: Mapping[str, Any]) -> Any:
        return tuple([bind(row[name]) if bind else row[name] for name, bind in binds])  # fastest

    def as_mapping(row: Mapping[str, Any]) -> Any:
        return {name: bind(row[name]) if bind else row[name] for name, bind in binds}

    return str(compiled), as_tuple if compiled.positional else as_mapping
