"""Puts the `steward` command together, and turns our errors into sentences and exit codes."""

import gc
import sys
from typing import Annotated, NoReturn

import typer

from steward import __version__
from steward.errors import ConfigurationError, StewardError, TransientError

USAGE, UNREACHABLE = 2, 4


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"steward {__version__}")
        raise typer.Exit


def build() -> typer.Typer:
    """The command with everything mounted."""
    from steward.cli import connect, db, demo, operators, roles, tokens, up
    from steward.cli import notify as notify_commands
    from steward.cli import policy as policy_commands

    app = typer.Typer(
        name="steward",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(_steward)
    app.command()(up.up)
    app.command()(demo.demo)
    roles.register(app)
    app.command()(connect.connect)
    app.add_typer(policy_commands.app, name="policy")
    app.add_typer(notify_commands.app, name="notify")
    app.add_typer(tokens.app, name="token")
    app.add_typer(db.app, name="db")
    operators.register(app)
    return app


def _steward(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True),
    ] = False,
) -> None:
    """Event-driven automation for the MLflow Model Registry."""


def main() -> None:
    """Entry point: exit codes 0 yes, 1 no, 2 usage, 3 not in time, 4 unreachable."""
    try:
        build()()
    except ConfigurationError as error:
        _fail(str(error), USAGE)
    except TransientError as error:
        _fail(str(error), UNREACHABLE)
    except StewardError as error:
        _fail(str(error), 1)
    except OSError as error:
        if error.filename is None:
            raise
        _fail(
            f"{error.filename}: {error.strerror}. Steward keeps its files in STEWARD_DATA_DIR (or "
            "--data-dir): it must be a directory where this user may write.",
            USAGE,
        )
    finally:
        gc.freeze()  # or Python walks MLflow's 200,000 objects once more before it ends: a second


def _fail(sentence: str, code: int) -> NoReturn:
    typer.echo(sentence, err=True)
    sys.exit(code)
