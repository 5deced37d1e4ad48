"""Puts the `steward` command together, and turns our errors into sentences and exit codes."""

import gc
import sys
from typing import NoReturn

import typer

from steward.errors import ConfigurationError, StewardError, TransientError

USAGE, UNREACHABLE = 2, 4


def build() -> typer.Typer:
    """The command with everything mounted."""
    from steward.cli import connect, demo, operators, roles, tokens, up
    from steward.cli import notify as notify_commands
    from steward.cli import policy as policy_commands

    app = typer.Typer(
        name="steward",
        help="Event-driven automation for the MLflow Model Registry.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.command()(up.up)
    app.command()(demo.demo)
    roles.register(app)
    app.command()(connect.connect)
    app.add_typer(policy_commands.app, name="policy")
    app.add_typer(notify_commands.app, name="notify")
    app.add_typer(tokens.app, name="token")
    operators.register(app)
    return app


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
    finally:
        gc.freeze()  # or Python walks MLflow's 200,000 objects once more before it ends: a second


def _fail(sentence: str, code: int) -> NoReturn:
    typer.echo(sentence, err=True)
    sys.exit(code)
