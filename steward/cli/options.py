"""Options and arguments that several of the operators' verbs share."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="For programs: everything, as JSON.")]
Registry = Annotated[
    str | None, typer.Option("--registry", "-r", help="Only where there are several.")
]
Workspace = Annotated[
    str | None, typer.Option("--workspace", "-w", help="Only where there are several.")
]
Model = Annotated[str, typer.Argument(help="Name of a registered model.", metavar="MODEL")]
