"""Options and arguments that several of the operators' verbs share."""

from typing import Annotated, Any

import typer

from steward.cli.durations import duration

NOT_IN_TIME = 3
"""The exit code of a verb that waited in vain."""

Json = Annotated[bool, typer.Option("--json", help="For programs: everything, as JSON.")]
Registry = Annotated[
    str | None, typer.Option("--registry", "-r", help="Only where there are several.")
]
Workspace = Annotated[
    str | None, typer.Option("--workspace", "-w", help="Only where there are several.")
]
Model = Annotated[str, typer.Argument(help="Name of a registered model.", metavar="MODEL")]


def timeout(shown_default: str) -> Any:
    """The option of a verb that waits for an outcome."""
    return typer.Option(
        parser=duration, metavar="DURATION", show_default=shown_default, help="90s, 15m, 2h, 1d."
    )
