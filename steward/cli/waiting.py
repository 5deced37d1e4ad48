"""``steward wait``: the gate for a pipeline. Waits for a version's verdict by long polls."""

import re
import time
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from steward.cli import options, tables
from steward.cli.api_client import Api, connect, path_of
from steward.errors import NotFoundError, TransientError

LONG_POLL_SECONDS = 10.0
PATIENCE_SECONDS = 60.0
SHORTEST_LOOK_SECONDS = 0.5
NO = frozenset({None, "held", "rejected", "rolled_back"})
"""Verdicts that do not become another without news; None was never judged here."""


class Goal(StrEnum):
    """What is waited for."""

    DECIDED = "decided"
    PROMOTED = "promoted"
    SERVING = "serving"


@dataclass(frozen=True, slots=True)
class Look:
    """What one question to the receiver told: the answer, if it is final, and the state in words.

    ``document`` is None as long as the version is not known.
    """

    document: dict[str, Any] | None
    is_yes: bool | None
    told: str


def _number(version: str) -> str:
    if not re.fullmatch("[1-9][0-9]*", version):
        raise typer.BadParameter(
            f"{version!r} is no version: MLflow's are whole numbers from 1 on. "
            "It would be waited for in vain."
        )
    return version


def wait(
    ctx: typer.Context,
    model: options.Model,
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="It may come later.", callback=_number)
    ],
    *,
    goal: Annotated[
        Goal,
        typer.Option(
            "--for",
            help="decided: judged; promoted: it is Production; serving: every replica serves it.",
        ),
    ] = Goal.DECIDED,
    timeout: Annotated[timedelta, options.timeout("15m")] = timedelta(minutes=15),
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Wait for the verdict on a version; what changes meanwhile is told on standard error.

    Exit code: 0 yes (promoted, or serving), 1 no (held, rejected, rolled back), 3 not in time,
    4 Steward was not reached.
    """
    question = {"for": goal.value, "registry": registry, "workspace": workspace}
    path = path_of("models", model, "versions", version, "verdict")
    with connect(ctx.obj) as api:
        look = _wait(api, path, question, f"{model} version {version}", timeout)
    if as_json:
        unknown = {"model": model, "version": version, "verdict": "unknown"}
        tables.as_json(look.document or unknown)
    else:
        tables.say(look.told)
        if look.document:
            typer.echo(look.document["url"])
    if look.is_yes is None:
        typer.echo(f"Not {goal.value} within {timeout.total_seconds():g} s.", err=True)
        raise typer.Exit(options.NOT_IN_TIME)
    if not look.is_yes:
        raise typer.Exit(1)


def _wait(api: Api, path: str, question: dict[str, Any], subject: str, timeout: timedelta) -> Look:
    deadline, told = time.monotonic() + timeout.total_seconds(), ""
    patience = Patience()
    look = _ask(api, path, question, subject, 0)  # at once, so that a wrong address is told at once
    while look.is_yes is None and (left := deadline - time.monotonic()) > 0:
        if look.told != told:
            told = look.told
            tables.say(told, err=True)
        began = time.monotonic()
        with patience:
            look = _ask(api, path, question, subject, min(left, LONG_POLL_SECONDS))
        if look.is_yes is None:
            pause = min(SHORTEST_LOOK_SECONDS, left) - (time.monotonic() - began)
            time.sleep(max(pause, 0))
    patience.check()
    return look


class Patience:
    """A receiver that is restarted in the middle of a long wait does not end it; one gone does."""

    def __init__(self) -> None:
        self._error: BaseException | None = None
        self._since = 0.0

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> bool:
        if not isinstance(error, TransientError):
            self._error = None
            return False
        if self._error is None:
            self._since = time.monotonic()
            tables.say(f"{error} Trying on.", err=True)
        self._error = error
        return time.monotonic() - self._since < PATIENCE_SECONDS

    def check(self) -> None:
        """Raise the last error if the receiver is away still."""
        if self._error is not None:
            raise self._error


def _ask(api: Api, path: str, question: dict[str, Any], subject: str, seconds: float) -> Look:
    try:
        found = api.get(path, {**question, "wait": round(seconds, 3)}, wait_seconds=seconds)
    except NotFoundError:
        return Look(None, None, f"{subject} is not known yet: waiting for its registration.")
    return Look(found, is_yes(found), f"{subject}: {standing(found)}")


def is_yes(found: dict[str, Any]) -> bool | None:
    """Whether what is waited for is so; None while it can still become so."""
    version, verdict, production = found["version"], found["verdict"], found["production"]
    is_production = production == version
    if found["for"] == Goal.DECIDED and found["is_reached"]:
        return verdict == "promoted" or (verdict is None and is_production)
    if found["for"] != Goal.DECIDED and found["is_reached"]:
        return True
    if found["code"] == "dead" and not is_production:
        return False  # nobody judges it any more, until an operator replays it
    if found["for"] == Goal.SERVING and version in (production, found["serving"]["desired"]):
        return None
    if verdict in NO and not is_production:
        return False
    return False if verdict == "promoted" and _is_newer(production, version) else None


def _is_newer(production: str | None, version: str) -> bool:
    """A promoted version that was replaced by a later one will not be served again by itself."""
    both = (production or "", version)
    return all(each.isdecimal() for each in both) and int(both[0]) > int(both[1])


def standing(found: dict[str, Any]) -> str:
    """Where the version stands, in a line: verdict, reasons, Production, what replicas serve."""
    verdict = found["verdict"] or "never judged"
    reasons = "; ".join(each.rstrip(".") for each in found["reasons"])
    told = verdict + (f": {reasons}" if reasons else "")
    production = found["production"]
    if production and production != found["version"]:
        told += f". Production is version {production}"
    if found["for"] == Goal.SERVING:
        counts = found["serving"]["replicas"]
        versions = {each: f"version {each}" if each != "none" else "no version" for each in counts}
        served = ", ".join(f"{count} of {versions[each]}" for each, count in counts.items())
        told += f". Replicas serving: {served or 'none is alive'}"
    return told + "."
