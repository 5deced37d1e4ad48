"""Turns what pydantic finds wrong with a policy file into sentences for people."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from steward import __version__
from steward.policy.document import Path
from steward.policy.file import PolicyFile

LATER_KEYS: dict[tuple[str, str], str] = {
    ("PolicyFile", "registries"): "remove it: there is one registry, 'default'",
}
"""What the design of the file has but this version cannot do: refused, never ignored."""

LATER_VALUES: dict[tuple[str, str], str] = {
    ("strategy", "rolling"): "use all",
    ("strategy", "canary"): "use all",
    ("two_in_production", "repair"): "use tell",
    ("unapproved_promotion", "revert"): "use tell",
}


def dotted(path: Path) -> str:
    """A path as people write it: ``policies[0].promote.when``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".") or "the file"


def nearest(word: str, known: Sequence[str]) -> str:
    """``; did you mean 'x'?``, or else what there is."""
    close = get_close_matches(word, known, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known are: {', '.join(known)}" if known else ""


_SHORT = {
    "model_type": "must be a mapping (key: value)",
    "dict_type": "must be a mapping (key: value)",
    "tuple_type": "must be a list, like [a, b]",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "string_type": "must be a word",
}


def sentences(errors: Sequence[ErrorDetails]) -> list[tuple[Path, str]]:
    """Where each validation error is and what to say about it."""
    return [
        (error["loc"], _text(error["loc"], error))
        for error in errors
        if not (error["type"] == "too_short" and error["input"])  # its items are wrong, not it
    ]


def _text(path: Path, error: ErrorDetails) -> str:
    kind, given, where = error["type"], error["input"], dotted(path)
    text = f"{where} {_SHORT.get(kind, '')}"
    if kind == "extra_forbidden":
        text = _unknown_key(path)
    elif kind == "missing":
        text = f"'{path[-1]}' is missing in {dotted(path[:-1])}{_choices(path)}"
    elif given is None:
        text = f"{where} is empty"
    elif kind in ("literal_error", "enum"):
        text = _unknown_value(path, given, error["ctx"]["expected"])
    elif kind == "value_error":
        text = f"{where}: {error['ctx']['error']}"
    elif kind not in _SHORT:
        message = error["msg"].replace("Input should be", "must be")
        shown = f" (it is '{given}')" if isinstance(given, str) and path[0] != "channels" else ""
        text = f"{where} {message[0].lower()}{message[1:]}{shown}"
    return text


def _unknown_key(path: Path) -> str:
    key, section = str(path[-1]), _section_at(path[:-1])
    if (section.__name__, key) in LATER_KEYS:
        return _later(f"{key}:", LATER_KEYS[section.__name__, key])
    if (section.__name__, key) == ("Notify", "on"):
        return "YAML reads `on` as true; use events"
    known = [field.alias or name for name, field in section.model_fields.items()]
    return f"unknown key '{key}' in {dotted(path[:-1])}{nearest(key, known)}"


def _unknown_value(path: Path, given: Any, expected: str) -> str:
    last = str(path[-1])
    if (last, str(given)) in LATER_VALUES:
        return _later(f"{last}: {given}", LATER_VALUES[last, str(given)])
    shown = f"; it is '{given}'" if isinstance(given, str) else ""
    return f"{dotted(path)} must be {expected}{shown}"


def _later(what: str, instead: str) -> str:
    return f"{what} is not available in this version ({__version__}); {instead}"


def _choices(path: Path) -> str:
    return {
        "mode": "; say observe, recommend or act",
        "better": "; say higher or lower",
        "version": "; say version: 1",
    }.get(str(path[-1]), "")


def _section_at(path: Path) -> type[BaseModel]:
    """The section of the file that a path leads to; names and list indices lead nowhere."""
    section: type[BaseModel] = PolicyFile
    for part in path:
        for name, field in section.model_fields.items():
            if part == (field.alias or name):
                section = next(_sections_in(field.annotation), section)
                break
    return section


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections_in(argument)
