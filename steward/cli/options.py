"""Options and arguments that several of the operators' verbs share."""

from datetime import timedelta
from typing import Annotated

import typer

from steward.cli.durations import duration

Json = Annotated[bool, typer.Option("--json", help="For programs: everything, as JSON.")]
Registry = Annotated[
    str | None, typer.Option("--registry", "-r", help="Only where there are several.")
]
Workspace = Annotated[
    str | None, typer.Option("--workspace", "-w", help="Only where there are several.")
]
Model = Annotated[str, typer.Argument(help="Name of a registered model.", metavar="MODEL")]
Timeout = Annotated[
    timedelta,
    typer.Option(parser=duration, metavar="DURATION", help="How long to wait: 90s, 15m, 2h, 1d."),
]
