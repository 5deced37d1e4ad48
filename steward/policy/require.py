"""The policy's sections ``require`` and ``stages``: what a version must have, to enter where.

Judged by ``handlers/gates.py``.
"""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from steward.policy.section import Section


def _regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"'{pattern}' is not a regular expression: {error}") from error
    return pattern


def _tag_value(value: Any) -> Any:
    several = value if isinstance(value, list | tuple) else [value]
    if not several or not all(isinstance(one, str | bool) for one in several):
        raise ValueError("a tag's value is a word, true, false, or a list of these")
    return tuple(value) if isinstance(value, list) else value


Text = Annotated[str, Field(min_length=1)]
TagValue = Annotated[bool | str | tuple[bool | str, ...], BeforeValidator(_tag_value)]
Number = Annotated[Decimal, Field(max_digits=24, decimal_places=9)]
Pattern = Annotated[str, AfterValidator(_regex)]
Lineage = Literal[
    "git_commit",
    "git_branch",
    "git_repo",
    "source_name",
    "user",
    "parent_run",
    "run_id",
    "model_id",
    "dataset_digest",
    "data_version",
]


class Bounds(Section):
    """What a metric must reach, both ends included."""

    min: Number | None = None
    max: Number | None = None


class Require(Section):
    """Gates; all must hold."""

    metrics: dict[str, Bounds] = {}
    required_tags: tuple[Text, ...] = ()
    tags: dict[str, TagValue] = {}
    tag_patterns: dict[str, Pattern] = {}
    description: bool = False
    signature: bool = False
    lineage: tuple[Lineage, ...] = ()

    @property
    def read_tags(self) -> frozenset[str]:
        """The tags that a gate reads."""
        return frozenset({*self.required_tags, *self.tags, *self.tag_patterns})


class Stages(Section):
    """What must hold to enter each stage, beside ``require``.

    With ``Staging``, if only as ``{}``, a version goes there when its gates and checks have passed;
    ``Production`` is what must hold besides before it is promoted.
    """

    staging: Require | None = Field(None, alias="Staging")
    production: Require | None = Field(None, alias="Production")


def tag_matches(expected: TagValue, actual: str | None) -> bool:
    """Whether a tag has the value asked for; a list is one of, true is "True" or "true"."""
    if actual is None:
        return False
    if isinstance(expected, tuple):
        return any(tag_matches(one, actual) for one in expected)
    if isinstance(expected, bool):
        return actual in (str(expected), str(expected).lower())
    return actual == expected
