"""Globs in SQL, the same everywhere: ``*`` is any text, case counts, nothing else is special.

LIKE alone does not do: SQLite's ignores the case of ASCII letters, PostgreSQL's does not.
"""

from typing import Any

from sqlalchemy import Boolean, ColumnElement, Text, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class matches_glob(FunctionElement[bool]):  # noqa: N801  # a function of SQL, as its callers read it
    """Whether a column's text matches a glob."""

    inherit_cache = True
    type = Boolean()

    def __init__(self, column: ColumnElement[Any], glob: str) -> None:
        # Both spellings of the pattern are bound, and each database uses its own.
        super().__init__(column, literal(_for_glob(glob), Text), literal(_for_like(glob), Text))


@compiles(matches_glob, "sqlite")
def _on_sqlite(element: matches_glob, compiler: Any, **options: Any) -> str:
    column, pattern, _ = element.clauses
    return f"{compiler.process(column, **options)} GLOB {compiler.process(pattern, **options)}"


@compiles(matches_glob, "postgresql")
def _on_postgresql(element: matches_glob, compiler: Any, **options: Any) -> str:
    column, _, pattern = element.clauses
    return (
        f"{compiler.process(column, **options)} LIKE {compiler.process(pattern, **options)}"
        " ESCAPE '\\'"
    )


def _for_glob(glob: str) -> str:
    return "".join(f"[{each}]" if each in "?[" else each for each in glob)


def _for_like(glob: str) -> str:
    for special in ("\\", "%", "_"):
        glob = glob.replace(special, "\\" + special)
    return glob.replace("*", "%")
