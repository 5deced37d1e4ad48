"""Sentences that several messages share: numbers, comparisons, what replicas serve, links.

Read by the accounts of events and by ``handlers/messages.py``. Pure, and tolerant: a key that an
event lacks leaves its sentence out. :class:`Decision` and :class:`Rollout` name the keys of
events' data.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from steward.events import Event, ModelRef

SHOWN_FAILURES = 10
LONGEST = 400
LONGEST_NUMBER = 15
Fact = tuple[str, str]


def short(value: Any) -> str:
    """One line of at most 400 characters, without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def sentences(value: Any, limit: int = 10) -> tuple[str, ...]:
    """The texts of a list (or of one text), each a short line."""
    items = [value] if isinstance(value, str) else value or ()
    return tuple(line for item in list(items)[:limit] if (line := short(item)))


def number(value: Any, places: int = 6) -> str:
    """A number as people write it; what is none stays the text it was ("5%")."""
    try:
        decimal = Decimal(str(value))
    except InvalidOperation:
        return short(value)
    if not decimal.is_finite():
        return "not a number"
    if decimal.adjusted() > LONGEST_NUMBER:
        return short(value)
    text = f"{decimal:.{places}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def command(*words: str) -> str:
    """A command line that can be pasted into a shell."""
    return shlex.join(("steward", *words))


@dataclass(frozen=True, slots=True)
class Score:
    """One side of a comparison: a version and what its metric was, where measured."""

    version: str
    value: Any
    name: str
    dataset: str
    origin: str = ""

    @classmethod
    def read(cls, document: Any) -> "Score | None":
        """From the ``candidate`` or ``champion`` of a decision."""
        if not isinstance(document, Mapping):
            return None
        return cls(
            version=short(document.get("version") or ""),
            value=document.get("value"),
            name=short(document.get("name") or ""),
            dataset=short(document.get("dataset") or ""),
            origin=short(document.get("origin") or ""),
        )

    def tell(self, metric: str) -> str:
        """Such as ``auc 0.91 (logged as test_auc)``."""
        if self.value is None:
            return f"no {metric}"
        how = "computed" if self.origin == "holdout" else "logged"
        known_as = f" ({how} as {self.name})" if self.name and self.name != metric else ""
        return f"{metric} {number(self.value)}{known_as}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a decision event says: verdict, reasons, and number against number."""

    verdict: str
    code: str
    reasons: tuple[str, ...]
    next_steps: tuple[str, ...]
    metric: str
    candidate: Score | None
    champion: Score | None
    margin: Any
    gain: Any
    policy: str
    mode: str
    would: str

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> "Decision":
        """From the data of a decision event."""
        return cls(
            verdict=short(data.get("verdict") or ""),
            code=short(data.get("code") or ""),
            reasons=sentences(data.get("reasons")),
            next_steps=sentences(data.get("next")),
            metric=short(data.get("metric") or "metric"),
            candidate=Score.read(data.get("candidate")),
            champion=Score.read(data.get("champion")),
            margin=data.get("margin"),
            gain=data.get("gain"),
            policy=short(data.get("policy") or ""),
            mode=short(data.get("mode") or ""),
            would=short(data.get("would") or ""),
        )

    @property
    def difference(self) -> str:
        """Such as ``better by 0.03; at least 0.02 is required``."""
        if self.gain is None:
            return ""
        gain = number(self.gain, 9)
        sign = "worse by " if gain.startswith("-") else "better by "
        required = f"; at least {number(self.margin, 9)} is required" if self.margin else ""
        return ("equal" if gain == "0" else sign + gain.removeprefix("-")) + required

    @property
    def measured_on(self) -> str:
        """Whether both numbers come from the same data, as far as it was recorded."""
        both = (self.candidate, self.champion)
        sides = [side for side in both if side and side.value is not None]
        datasets = {side.dataset for side in sides}
        if not sides:
            return ""
        if len(datasets) == 1:
            return (datasets.pop() or "not recorded") + (", both" if len(sides) > 1 else "")
        return ", ".join(f"version {s.version}: {s.dataset or 'not recorded'}" for s in sides)

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The comparison, number against number."""
        found: list[Fact] = []
        if self.candidate:
            found.append((f"Version {self.candidate.version}", self.candidate.tell(self.metric)))
        if self.champion:
            label = f"Version {self.champion.version} (Production at the time)"
            found.append((label, self.champion.tell(self.metric)))
        if self.difference:
            found.append(("Difference", self.difference))
        if self.measured_on:
            found.append(("Measured on", self.measured_on))
        return tuple(found)

    @property
    def signature(self) -> str:
        """Which policy decided, and in which mode."""
        mode = f" (mode {self.mode})" if self.mode else ""
        return f"policy {self.policy}{mode}" if self.policy else ""


@dataclass(frozen=True, slots=True)
class Rollout:
    """What a ``rollout.finished`` or ``rollout.failed`` says about the replicas."""

    version: str
    replicas: Sequence[Mapping[str, Any]]
    seconds: Any
    has_failed: bool

    @classmethod
    def read(cls, event: Event) -> "Rollout":
        """From the event that ended the rollout."""
        replicas = event.data.get("replicas") or ()
        return cls(
            version=short(event.data.get("version") or event.version or ""),
            replicas=[replica for replica in replicas if isinstance(replica, Mapping)],
            seconds=event.data.get("seconds"),
            has_failed=event.type == "rollout.failed",
        )

    @property
    def stragglers(self) -> list[Mapping[str, Any]]:
        """Replicas that do not serve what they should."""
        return [replica for replica in self.replicas if not replica.get("ok")]

    @property
    def summary(self) -> str:
        """How many replicas serve the version."""
        total = len(self.replicas)
        if not total:
            return "No replica is running, so there was nothing to reload."
        served = total - len(self.stragglers)
        after = f" (after {number(self.seconds, 1)} s)" if self.seconds is not None else ""
        what = f"serve version {self.version}" if self.version else "serve no version any more"
        return f"{served} of {total} replicas {what}{after}."

    @property
    def lines(self) -> tuple[str, ...]:
        """The summary, then each replica in trouble."""
        shown = [_tell_straggler(replica) for replica in self.stragglers[:SHOWN_FAILURES]]
        more = len(self.stragglers) - len(shown)
        return (self.summary, *shown, *([f"and {more} more"] if more else []))


def _tell_straggler(replica: Mapping[str, Any]) -> str:
    where = f" at {replica['url']}" if replica.get("url") else ""
    version = replica.get("version")
    serves = f"serves version {version}" if version else "what it serves is unknown"
    error = f": {replica['error']}" if replica.get("error") else ""
    return short(f"{replica.get('id', 'a replica')}{where}: {serves}{error}")


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses that people can open; where one is not known, its links are left out."""

    registry_url: str = ""
    public_url: str = ""

    def version(self, model: ModelRef | None, version: str | None) -> tuple[Fact, ...]:
        """The version in MLflow's pages, and Steward's account of it."""
        if not model or not version:
            return ()
        name, number_ = quote(model.name, safe=""), quote(version, safe="")
        found: list[Fact] = []
        if registry := _openable(self.registry_url):
            page = f"{registry}/#/models/{name}/versions/{number_}"
            found.append((f"Version {version} in MLflow", page))
        if public := _openable(self.public_url):
            page = f"{public}/api/v1/models/{name}/explain?version={number_}"
            found.append(("Explain", page))
        return tuple(found)

    def event(self, event_id: str) -> tuple[Fact, ...]:
        """One event, with its dispatches and attempts."""
        public = _openable(self.public_url)
        if not public or not event_id:
            return ()
        return (("Event", f"{public}/api/v1/events/{quote(event_id, safe='')}"),)


def _openable(url: str) -> str:
    """The URL without credentials; empty when a browser cannot open it (``sqlite://``)."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
