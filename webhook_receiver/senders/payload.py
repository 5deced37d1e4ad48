"""Reads a JSON body that anybody may have written, so that what it holds can be journalled.

Called by every sender. What the journal's databases could not store, or could not give back as it
was, is refused here: NaN, infinity, text that is not text, nesting without end.
"""

import json
import math
from typing import Any

from steward.errors import DeliveryRejected

DEEPEST = 64


def read_json(body: bytes) -> dict[str, Any]:
    """The body's JSON object.

    Raises:
        DeliveryRejected: 400 when it is not JSON, 422 when it is no object or cannot be stored.

    """
    try:
        document = _DECODER.decode(body.decode())
    except (ValueError, RecursionError) as error:
        raise DeliveryRejected(400, "not_json", f"The body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise malformed("the body is a JSON object")
    # Escapes and brackets alone can hide what is wrong; few bodies have either, and a look costs.
    if b"\\u" in body or body.count(b"[") + body.count(b"{") > DEEPEST:
        _check(document, DEEPEST)
    return document


def malformed(expected: str) -> DeliveryRejected:
    """JSON of the wrong form; ``expected`` is what it should have been."""
    return DeliveryRejected(
        422, "wrong_form", f"The body has the wrong form: expected that {expected}."
    )


def _check(value: Any, depth: int) -> None:
    if depth == 0:
        raise malformed(f"nothing is nested deeper than {DEEPEST} levels")
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= each <= "\udfff" for each in value):
            raise malformed("text holds neither NUL nor half a surrogate pair")
    elif isinstance(value, dict):
        for key, each in value.items():
            _check(key, depth)
            _check(each, depth - 1)
    elif isinstance(value, list):
        for each in value:
            _check(each, depth - 1)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is out of range")
    return value


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)
