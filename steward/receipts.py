"""Receipts of decisions: their canonical form, their hash, and the check of a chain, offline.

The journal writes them, the receiver shows them, ``steward receipts`` exports and verifies them.
A receipt is a JSON object; its hash is the sha256 of its canonical bytes (RFC 8785). A chain is
the receipts of one model in order, each naming the hash of the one before it. In a file each line
is the canonical form of ``{"hash", "policy_text", "receipt"}``, and ends with a line feed.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785

SCHEMA = "steward.receipt/1"
LARGEST_INTEGER = 2**53 - 1
"""The largest that every JSON parser keeps (RFC 7493); a larger one is written as text."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a chain: changed, missing, reordered or truncated; ``line`` from 1."""

    line: int
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of a file found; ``head`` is the hash of its last sound receipt."""

    receipts: int
    head: str | None
    faults: tuple[Fault, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.faults


def canonical(document: Any) -> bytes:
    """The one way to write a JSON document (RFC 8785), UTF-8.

    Raises:
        ValueError: it has no canonical form: NaN, a number too large, half a character.

    """
    return rfc8785.dumps(document)


def hash_of(document: Any) -> str:
    """The sha256 (hex) of a document's canonical form."""
    return hashlib.sha256(canonical(document)).hexdigest()


def storable(value: Any) -> Any:
    """The same value with nothing in it that has no canonical form.

    A number that JSON cannot hold exactly becomes text, half a character a question mark: a
    decision must never fail because of its receipt.
    """
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [storable(each) for each in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= LARGEST_INTEGER:
        return int(value)
    # A larger float is canonically written without a point, and would be read as an integer.
    if isinstance(value, float) and math.isfinite(value) and abs(value) <= LARGEST_INTEGER:
        return float(value)
    return str(value).encode(errors="replace").decode()


def line_of(digest: str, receipt: Mapping[str, Any], policy_text: str | None) -> bytes:
    """One receipt as a line of an exported file, with the line feed that ends it."""
    line = {"hash": digest, "policy_text": policy_text, "receipt": receipt}
    return canonical(line) + b"\n"


def check(content: bytes, *, head: str | None = None) -> Checked:
    """Look at an exported file: whether it is the whole chain of one model, as it was written.

    ``head`` is the hash of a receipt that must be in it, as noted elsewhere (the tag
    ``steward.receipt`` of a version): without it a chain whose end was cut off looks whole.
    """
    if not content:
        return Checked(0, None, (Fault(1, "missing", "the file has no receipt"),))
    *lines, rest = content.split(b"\n")
    if rest:  # what follows on the last line feed is a line that was not ended
        lines.append(rest)
    parsed = [_parsed(line) for line in lines]
    sound = [each for _, each in _numbered(parsed, dict)]
    faults = [Fault(number, "changed", found) for number, found in _numbered(parsed, str)]
    if rest and not faults:
        faults.append(Fault(len(lines), "changed", "the line feed at its end is missing"))
    faults = faults or list(_out_of_order(sound))
    hashes = [each["hash"] for each in sound]
    if head is not None and head not in hashes and not faults:
        detail = f"the receipt {head} is not in the file: later lines were cut off"
        faults.append(Fault(len(lines) + 1, "truncated", detail))
    return Checked(len(hashes), hashes[-1] if hashes else None, tuple(faults))


def _numbered(parsed: Sequence[Any], kind: type) -> Iterator[tuple[int, Any]]:
    return ((number, each) for number, each in enumerate(parsed, 1) if isinstance(each, kind))


def _parsed(line: bytes) -> dict[str, Any] | str:
    """The content of one line; a sentence where it is not what was once written."""
    try:
        found = json.loads(line)
        if canonical(found) != line:
            return "it is not written in the canonical form of RFC 8785"
    except (ValueError, RecursionError):
        return "it is no canonical JSON"
    if not isinstance(found, dict) or found.keys() != {"hash", "policy_text", "receipt"}:
        return "it is not a receipt with its hash and its policy"
    return _why_changed(found) or found


def _why_changed(found: Mapping[str, Any]) -> str | None:
    receipt, text = found["receipt"], found["policy_text"]
    digest = hash_of(receipt)
    if digest != found["hash"]:
        return f"its content has the hash {digest}, not {found['hash']}"
    if not isinstance(receipt, dict) or receipt.get("schema") != SCHEMA:
        return f"it is not a receipt of the form {SCHEMA}"
    if not isinstance(receipt.get("sequence"), int):
        return "it has no sequence number"
    policy = receipt.get("policy")
    expected = policy.get("hash") if isinstance(policy, dict) else None
    actual = hashlib.sha256(text.encode()).hexdigest() if isinstance(text, str) else None
    if actual != expected or (text is not None and actual is None):
        return f"the text of its policy does not have the hash {expected}"
    return None


def _out_of_order(found: Sequence[Mapping[str, Any]]) -> Iterator[Fault]:
    """The first line that does not follow on the one before it; every line is sound by itself."""
    there = {each["receipt"]["sequence"] for each in found}
    before: Mapping[str, Any] | None = None
    for line, each in enumerate(found, 1):
        receipt = each["receipt"]
        sequence, previous = receipt["sequence"], before["hash"] if before else None
        if sequence != line:
            yield _out_of_place(line, sequence, is_there=line in there)
            return
        if receipt.get("previous") != previous:
            detail = f"it follows on {receipt.get('previous')}, but before it stands {previous}"
            yield Fault(line, "changed", detail)
            return
        before = each


def _out_of_place(line: int, sequence: int, *, is_there: bool) -> Fault:
    if is_there or sequence < line:
        return Fault(line, "reordered", f"receipt {sequence} stands where receipt {line} belongs")
    return Fault(line, "missing", f"receipt {line} is missing: receipt {sequence} stands there")
