"""``validation/report.html``: one examination as a page that needs nothing beside it.

Called by ``findings`` after everything is decided. The template lies beside this module.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from handlers import by_holdout
from handlers.checks import CheckResult
from handlers.examined import Examination, OnHoldout
from handlers.report.attempts import attempted
from handlers.report.canvas import Plot, Sides
from handlers.report.plots import plot_of_difference, plots_of_scores
from handlers.report.plots_of_data import plots_of_drift, plots_of_groups
from handlers.wording import command, number, short
from steward.policy import Policy

TEMPLATE = "report.html.j2"
MOST_NAMED = 8
MARKS = {"fail": "✗", "error": "?", "warn": "!", "pass": "✓", "skip": "·"}
"""Beside the word of each status; in the order of the table, the gravest first."""
_RULINGS = {
    "better": "better than Production",
    "not_better": "not better than Production",
    "inconclusive": "too uncertain to tell",
}
_LEVELS = {
    "L1": "level L1: a process of its own, with limits",
    "L2": "level L2: a process of its own, with limits and without network",
}
_METHODS = {"delong": "standard error by paired DeLong", "bootstrap": "paired bootstrap"}


@dataclass(frozen=True, slots=True)
class Subject:
    """What was examined, by which policy, when."""

    model: str
    version: str
    policy: Policy
    at: datetime


@dataclass(frozen=True, slots=True)
class Chapter:
    """Plots under one heading."""

    title: str
    plots: tuple[Plot, ...]


def render(subject: Subject, found: Examination) -> bytes:
    """The page, as UTF-8. A plot that cannot be drawn is left out."""
    grave = [result for status in MARKS for result in found.having(status)]
    text = (
        _environment()
        .get_template(TEMPLATE)
        .render(
            subject=subject,
            found=found,
            results=grave,
            counted=", ".join(f"{len(found.having(word))} {word}" for word in MARKS),
            verdict=verdict_of(found.results),
            comparison=_compared(subject, found.on_holdout) if found.on_holdout else None,
            chapters=list(_chapters(subject, found)),
            explained=command("explain", subject.model, subject.version),
        )
    )
    return text.encode("utf-8", "replace")


def verdict_of(results: Sequence[CheckResult]) -> tuple[str, str]:
    """The gravest status that counts, and what became of the examination in one sentence."""
    failed, unclear, warned = (
        [result.name for result in results if result.status == status]
        for status in ("fail", "error", "warn")
    )
    if failed:
        more = f" Could not be made: {_some(unclear)}." if unclear else ""
        return "fail", f"Failed: {_some(failed)}.{more}"
    if unclear:
        return "error", f"Could not be checked: {_some(unclear)}. Missing data is never a pass."
    noted = f" To look at: {_some(warned)}." if warned else ""
    return "pass", f"Passed: no check failed.{noted}"


def _some(names: Sequence[str]) -> str:
    """How many, and the first of them by name."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    count = "1 check" if len(names) == 1 else f"{len(names)} checks"
    return f"{count}, {', '.join(short(name) for name in names[:MOST_NAMED])}{more}"


def _compared(subject: Subject, found: OnHoldout) -> dict[str, Any]:
    """What the page says of candidate and champion on the same rows."""
    concluded = by_holdout.concluded(subject.policy, found)
    margin, conclusion = concluded or (None, None)
    plot = attempted(
        "difference",
        lambda: plot_of_difference(found.comparison, None if margin is None else float(margin)),
        None,
    )
    return {
        "of": found.comparison,
        "champion": found.champion,
        "others": found.others,
        "unscored": found.unscored,
        "may_lose": subject.policy.promote.not_worse,
        "margin": margin,
        "ruling": _RULINGS[conclusion.ruling] if conclusion else "",
        "reasons": conclusion.reasons if conclusion else (found.comparison.problem,),
        "plot": plot,
    }


def _chapters(subject: Subject, found: Examination) -> Iterable[Chapter]:
    drift = subject.policy.checks.drift if subject.policy.checks else None
    of_drift = plots_of_drift(found.results, found.curves, drift.ks_max if drift else None)
    for title, makers in (
        ("Quality on the holdout", plots_of_scores(found.curves, Sides(subject.version))),
        ("Drift", of_drift),
        ("Fairness", plots_of_groups(found.curves)),
    ):
        if plots := tuple(_made(makers)):
            yield Chapter(title, plots)


def _made(makers: Iterable[Callable[[], Plot]]) -> Iterable[Plot]:
    for make in makers:
        if plot := attempted("plot", make, None):
            yield plot


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_told,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(marks=MARKS, levels=_LEVELS, methods=_METHODS)
    environment.filters.update(number=number, plain=_plain, whole=_whole, address=_address)
    return environment


def _told(value: object) -> object:
    """Everything as one short line without control characters; what is escaped, as it is."""
    return value if isinstance(value, Markup) else short(value)


def _whole(text: str) -> Markup:
    """A sentence of ours with names in it, however long."""
    return escape("".join(c if c.isprintable() else " " for c in text))


def _address(source: str) -> Markup:
    """A drawing's own address, which holds no sign that HTML knows."""
    return Markup(escape(source))  # noqa: S704  # base64


def _plain(value: float | None) -> str:
    """A measured number with four digits; nothing for none."""
    return "" if value is None else f"{value:,.4g}"
