"""Runs the operators' verbs in this process, as a person at a shell meets them."""

import json
from dataclasses import dataclass
from typing import Any

import httpx
import typer
from typer.testing import CliRunner

from steward.cli import operators
from steward.cli.app import UNREACHABLE, USAGE
from steward.errors import ConfigurationError, StewardError, TransientError


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def all(self) -> str:
        """Both streams, with the line breaks of boxes taken out."""
        return " ".join((self.out + self.err).replace("│", " ").split())


def run(*words: str, transport: httpx.BaseTransport | None = None, stdin: str = "") -> Ran:
    """Run ``steward <words>``; errors become what the command's entry point makes of them."""
    app = typer.Typer()
    operators.register(app)
    result = CliRunner().invoke(app, list(words), obj=transport, input=stdin)
    error = result.exception
    if not isinstance(error, StewardError):
        if error is not None and not isinstance(error, SystemExit):
            raise error
        return Ran(result.exit_code, result.stdout, result.stderr)
    usage = USAGE if isinstance(error, ConfigurationError) else 1
    code = UNREACHABLE if isinstance(error, TransientError) else usage
    return Ran(code, result.stdout, f"{result.stderr}{error}\n")
