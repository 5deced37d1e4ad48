"""The account of one version by subject, as ``steward explain`` prints it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import typer

from handlers.measured import difference
from handlers.wording import Score, number
from steward.cli import tables
from steward.cli.api_client import Document

Fact = tuple[str, Any]
SHOWN_METRICS = 10
_SEEN = {
    "webhook": "told by a webhook",
    "poll": "found by the poll",
    "both": "told by a webhook, found by the poll",
    "self": "recorded by Steward",
}


def print_then(found: Document) -> None:
    """What was Production at the time asked for, and where the version stood."""
    then, version = found["then"], found["version"]
    name, at = tables.clean(found["model"]), _iso(then["at"])
    if not then["production_is_known"]:
        told = "it is unknown what Production was: the journal knew nothing of the model yet"
    elif then["production"] is None:
        told = "Production was empty"
    else:
        told = f"version {then['production']} was Production"
    typer.secho(f"{name} at {at}: {told}.", bold=True)
    if then["stage"] is None:
        tables.facts([(f"Version {version}", "was not registered yet")])
        return
    verdict = then["verdict"] or {"verdict": "not judged by Steward", "reasons": [], "at": None}
    since = f", {_iso(verdict['at'])}" if verdict["at"] else ""
    tables.facts(
        [
            ("Production since", _iso(then["production_since"])),
            (f"Version {version}", f"{verdict['verdict']}{since}; stage {then['stage']}"),
            *[("Because", reason) for reason in verdict["reasons"]],
        ]
    )


def print_sections(sections: Document) -> None:
    """Registered, waited, checked ... undone; what there is nothing to tell of is left out."""
    told = [
        *_registered(sections["registered"]),
        *(("Waited for", _waited(each)) for each in sections["waited"]),
        *(("Check", _check(each)) for each in sections["checks"]),
        *([("Report", sections["report"])] if sections["report"] else []),
        *_compared(sections["compared"]),
        *_decided(sections["decided"]),
        *(("Approval", _approval(each)) for each in sections["approved"]),
        *_promoted(sections["promoted"]),
        *_rollout(sections["rollout"]),
        *(("Told", _told(each)) for each in sections["told"]),
        *_not_used(sections["not_used"]),
        *(("To undo it", line) for line in sections["undo"]),
    ]
    if told:
        tables.heading("By subject")
        tables.facts(told)


def _registered(row: Document | None) -> Iterator[Fact]:
    if row is None:
        return
    by = f" by {row['user']} (as its run says)" if row["user"] else ""
    run = f", run {row['run_id']}" if row["run_id"] else ""
    copied = f", copied from {row['copied_from']}" if row["copied_from"] else ""
    yield "Registered", f"{_iso(row['at'])}{by}{run}{copied}; {_SEEN.get(row['seen_by'], '')}"


def _waited(row: Document) -> str:
    over = "" if row["is_over"] else ", and still waits"
    return f"{row['for']}: {number(row['seconds'], 1)} s{over}"


def _check(row: Document) -> str:
    numbers = [
        f"{label} {number(row[key])}"
        for key, label in (("value", "value"), ("threshold", "limit"), ("n", "rows"))
        if row[key] is not None
    ]
    told = f" ({', '.join(numbers)})" if numbers else ""
    return f"{row['status']}: {row['name']}: {row['detail']}{told}"


def _compared(row: Document | None) -> Iterator[Fact]:
    if row is None:
        return
    metric = str(row["metric"] or "metric")
    sides = [Score.read(row["candidate"]), Score.read(row["champion"])]
    told = " against ".join(
        f"version {side.version}: {side.tell(metric)}, on {side.dataset or 'data not recorded'}"
        for side in sides
        if side
    )
    same = {True: "; the same data", False: "; NOT the same data"}.get(row["is_same_data"], "")
    yield "Compared", told + same
    if sure := difference(row.get("comparison")):
        yield "Difference", sure


def _decided(row: Document | None) -> Iterator[Fact]:
    if row:
        why = f": {'; '.join(row['reasons'])}" if row["reasons"] else ""
        yield "Decided", f"{_iso(row['at'])} {row['verdict']}{why}"


def _approval(row: Document) -> str:
    said = f": {row['comment']}" if row["comment"] else ""
    return f"{_iso(row['at'])} {row['what']} by {row['actor'] or 'somebody unknown'}{said}"


def _promoted(row: Document | None) -> Iterator[Fact]:
    if row is None:
        return
    instead = f" instead of version {row['instead_of']}" if row["instead_of"] else ""
    asked = f", as {row['asked_by']} asked" if row["asked_by"] else ""
    yield "Promoted", f"{_iso(row['at'])}{instead}, by {row['by']}{asked}"
    for each in row["wrote"]:
        state = "" if each["state"] == "done" else f" ({each['state']})"
        value = "removed" if each["value"] is None else each["value"]
        yield "Wrote", f"{each['what']}: {value}{state}"
    if row["until"]:
        by = f" by version {row['replaced_by']}" if row["replaced_by"] else ""
        yield "Replaced", f"{_iso(row['until'])}{by}"


def _rollout(row: Document | None) -> Iterator[Fact]:
    if row is None:
        return
    took = f" in {number(row['seconds'], 2)} s" if row["seconds"] is not None else ""
    what = "every replica serves it" if row["is_complete"] else "NOT every replica serves it"
    yield "Rollout", f"{_iso(row['at'])} {what}, {len(row['replicas'])} told{took}"
    for each in row["replicas"]:
        seconds = f" after {number(each['seconds'], 2)} s" if each["seconds"] is not None else ""
        serves = "serves it" if each["is_serving"] else f"failed: {each['error'] or 'no reason'}"
        yield "Replica", f"{each['id']} {serves}{seconds}"


def _told(row: Document) -> str:
    when = f"{_iso(row['at'])} " if row["at"] else ""
    return f"{when}{row['channel']}, of {row['of']}: {row['detail'] or row['state']}"


def _not_used(rows: list[Document]) -> Iterator[Fact]:
    if not rows:
        return
    shown = [f"{row['name']}={number(row['value'])}" for row in rows[:SHOWN_METRICS]]
    more = f" and {len(rows) - SHOWN_METRICS} more" if len(rows) > SHOWN_METRICS else ""
    yield "Not used", ", ".join(dict.fromkeys(shown)) + more


def _iso(text: str | None) -> str | None:
    """The same at a terminal and in a pipe: an account is quoted elsewhere, on another day."""
    if not text:
        return None
    return datetime.fromisoformat(text).isoformat(timespec="seconds").replace("+00:00", "Z")
