"""How one dispatch and its attempts read in a line; for ``events show`` and ``explain``."""

from datetime import datetime
from typing import Any


def dispatch_name(dispatch: dict[str, Any]) -> str:
    """The handler, and whom it tells if it is dispatched once a channel."""
    return str(dispatch["handler"]) + (f" to {dispatch['target']}" if dispatch["target"] else "")


def attempt_told(dispatch: dict[str, Any], attempt: dict[str, Any]) -> str:
    """Who tried, how long it took and how it went."""
    run = f" (run {attempt['run']})" if attempt["run"] > 1 else ""
    took = ""
    if attempt["started_at"]:
        began = datetime.fromisoformat(attempt["started_at"])
        seconds = (datetime.fromisoformat(attempt["ended_at"]) - began).total_seconds()
        took = f" in {seconds:.2f} s"
    repeats = f", {attempt['repeats']} times alike" if attempt["repeats"] > 1 else ""
    detail = f": {attempt['detail']}" if attempt["detail"] not in ("", None, "done") else ""
    return f"{dispatch_name(dispatch)}{run} {attempt['outcome']}{took}{repeats}{detail}"
