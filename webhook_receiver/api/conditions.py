"""The small language of version searches: ``auc>=0.9``, ``team=risk``. Pure.

Several conditions must all hold. What cannot be read is told with what was expected.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

_COMPARE: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_METRIC = re.compile(r"(?P<name>[^<>=!]+?)\s*(?P<sign>>=|<=|!=|>|<|==?)\s*(?P<number>[^<>=!]+)")
_TAG = re.compile(r"(?P<key>[^=!]+?)\s*(?:(?P<sign>!=|=)\s*(?P<value>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class MetricCondition:
    """A recorded metric, by the policy's name or as it was logged, against a number."""

    name: str
    sign: str
    number: Decimal

    def holds(self, evidence: Mapping[str, Any]) -> bool:
        """Whether any value that was recorded under the name fulfils it; False without one."""
        compare = _COMPARE[self.sign]
        return any(compare(value, self.number) for value in values_of(self.name, evidence))


@dataclass(frozen=True, slots=True)
class TagCondition:
    """A tag that has a value (``=``), has not this value (``!=``), or is there at all (None)."""

    key: str
    sign: str | None
    value: str

    def holds(self, tags: Mapping[str, str]) -> bool:
        """Whether it does; a tag that is absent has no value, so ``!=`` holds."""
        if self.sign is None:
            return self.key in tags
        return (tags.get(self.key) == self.value) == (self.sign == "=")


def metric_condition(text: str) -> MetricCondition:
    """Read ``auc>=0.9``. ValueError says what was expected."""
    match = _METRIC.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text[:100]!r} is no condition on a metric; expected NAME, one of "
            ">= <= > < = !=, and a number, like auc>=0.9"
        )
    try:
        number = Decimal(match["number"].strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ValueError(
            f"{match['number'].strip()[:50]!r} in {text[:100]!r} is no number; "
            "expected one like 0.9 or 1e-3"
        )
    return MetricCondition(match["name"].strip(), match["sign"].replace("==", "="), number)


def tag_condition(text: str) -> TagCondition:
    """Read ``team=risk``, ``team!=risk`` or ``team``. ValueError says what was expected."""
    match = _TAG.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text[:100]!r} is no condition on a tag; expected KEY=VALUE, KEY!=VALUE, or KEY alone"
        )
    return TagCondition(match["key"].strip(), match["sign"], match["value"] or "")


def values_of(name: str, evidence: Mapping[str, Any]) -> Iterator[Decimal]:
    """The values recorded under a name: the policy's own, else all that were logged so.

    Values in tags do not count: anybody may set those; they are searched as tags.
    """
    chosen = (evidence.get("metrics") or {}).get(name)
    found = [chosen] if chosen else evidence.get("found") or []
    for row in found:
        is_named = row is chosen or (row.get("name") == name and row.get("origin") != "tag")
        if is_named and row.get("value") is not None:
            yield Decimal(str(row["value"]))
