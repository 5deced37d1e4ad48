"""A chain of receipts as a file: whatever is done to it is found, and said where and how."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.receipts import LARGEST_INTEGER, SCHEMA, canonical, check, hash_of, line_of, storable
from tests.cli_support import run

POLICY = "version: 1\npolicies: []\n"


def chain(*decisions: Any) -> list[bytes]:
    """The lines of an exported chain, one for each decision."""
    lines: list[bytes] = []
    previous = None
    for number, decision in enumerate(decisions, 1):
        receipt = {
            "schema": SCHEMA,
            "model": "fraud",
            "sequence": number,
            "previous": previous,
            "decision": decision,
            "policy": {"ref": "p@1", "hash": hashlib.sha256(POLICY.encode()).hexdigest()},
        }
        previous = hash_of(receipt)
        lines.append(line_of(previous, receipt, POLICY))
    return lines


def hashes(lines: list[bytes]) -> list[str]:
    return [json.loads(line)["hash"] for line in lines]


CHAIN = chain({"verdict": "held", "gain": 0.25}, {"verdict": "promoted", "é": "ü\u2028"}, {"n": 7})
HEAD = hashes(CHAIN)[-1]


def found(*lines: bytes, head: str | None = HEAD) -> tuple[int, str]:
    """Line and kind of the only fault."""
    [fault] = check(b"".join(lines), head=head).faults
    return fault.line, fault.kind


def test_a_whole_chain_is_sound():
    checked = check(b"".join(CHAIN), head=HEAD)

    assert checked.is_sound
    assert (checked.receipts, checked.head) == (3, HEAD)


def test_a_receipt_in_the_middle_may_be_the_one_that_was_noted():
    assert check(b"".join(CHAIN), head=hashes(CHAIN)[0]).is_sound


@pytest.mark.parametrize(("gone", "expected"), [(0, (1, "missing")), (1, (2, "missing"))])
def test_a_removed_line_is_missing(gone: int, expected: tuple[int, str]):
    assert found(*(line for n, line in enumerate(CHAIN) if n != gone)) == expected


def test_a_cut_end_is_found_by_the_head_that_was_noted():
    assert found(*CHAIN[:2]) == (3, "truncated")


def test_an_empty_file_has_no_receipt():
    assert found() == (1, "missing")


def test_lines_in_another_order_are_reordered():
    assert found(CHAIN[0], CHAIN[2], CHAIN[1]) == (2, "reordered")


def test_a_repeated_line_is_reordered():
    assert found(CHAIN[0], CHAIN[0], CHAIN[1], CHAIN[2]) == (2, "reordered")


def test_a_line_of_another_chain_is_changed():
    other = chain("a", "b", "c")

    assert found(CHAIN[0], other[1], CHAIN[2]) == (2, "changed")


def test_another_policy_text_is_changed():
    line = json.loads(CHAIN[1]) | {"policy_text": "version: 2\n"}

    assert found(CHAIN[0], canonical(line) + b"\n", CHAIN[2]) == (2, "changed")


def test_a_policy_text_left_out_is_changed():
    line = json.loads(CHAIN[1]) | {"policy_text": None}

    assert found(CHAIN[0], canonical(line) + b"\n", CHAIN[2]) == (2, "changed")


@given(st.data())
def test_any_changed_byte_is_found(data: st.DataObject):
    content = b"".join(CHAIN)
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda new: new != content[place]))

    changed = content[:place] + bytes([byte]) + content[place + 1 :]

    assert not check(changed).is_sound


@given(st.data())
def test_any_removed_or_added_bytes_are_found(data: st.DataObject):
    content = b"".join(CHAIN)
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, len(content)))
    added = data.draw(st.binary(max_size=5))

    changed = content[:start] + added + content[end:]

    assert check(changed, head=HEAD).is_sound == (changed == content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON, min_size=1, max_size=6), st.data())
def test_any_removal_or_reordering_of_lines_is_found(decisions: list[Any], data: st.DataObject):
    lines = chain(*map(storable, decisions))
    order = data.draw(st.permutations(range(len(lines))))
    kept = data.draw(st.integers(0, len(lines)))
    chosen = order[:kept]

    checked = check(b"".join(lines[n] for n in chosen), head=hashes(lines)[-1])

    assert checked.is_sound == (chosen == [*range(len(lines))])


def test_what_has_no_canonical_form_is_kept_as_text():
    odd = {"big": LARGEST_INTEGER + 1, "nan": float("nan"), "half": "\ud800", "deep": (1.5, None)}

    assert storable(odd) == {
        "big": "9007199254740992",
        "nan": "nan",
        "half": "?",
        "deep": [1.5, None],
    }


def test_the_canonical_form_is_that_of_rfc_8785():
    document = {"€": "\u000f", "numbers": [333333333.33333329, 1e30, 4.50, 2e-3], "a": "\n"}

    assert canonical(document).decode() == (
        '{"a":"\\n","numbers":[333333333.3333333,1e+30,4.5,0.002],"€":"\\u000f"}'
    )


def test_verify_says_that_a_chain_is_sound(tmp_path):
    file = tmp_path / "fraud.jsonl"
    file.write_bytes(b"".join(CHAIN))

    told = run("receipts", "verify", str(file), "--head", HEAD)
    as_json = run("receipts", "verify", str(file), "--json")

    assert (told.code, told.out) == (0, f"{file} is sound: 3 receipts, head {HEAD}.\n")
    assert as_json.json == {
        "file": str(file),
        "sound": True,
        "receipts": 3,
        "head": HEAD,
        "faults": [],
    }


def test_verify_says_which_line_is_broken_and_how(tmp_path):
    file = tmp_path / "fraud.jsonl"
    file.write_bytes(CHAIN[0] + CHAIN[2])

    told = run("receipts", "verify", str(file))
    as_json = run("receipts", "verify", str(file), "--json")

    assert told.code == as_json.code == 1
    assert "line 2: missing: receipt 2 is missing: receipt 3 stands there" in told.out
    [fault] = as_json.json["faults"]
    assert (fault["line"], fault["kind"]) == (2, "missing")


def test_verify_without_a_head_says_what_it_cannot_know(tmp_path):
    file = tmp_path / "fraud.jsonl"
    file.write_bytes(CHAIN[0])

    told = run("receipts", "verify", str(file))

    assert told.code == 0
    assert "Whether later receipts were cut off is not known" in told.err


@pytest.mark.parametrize("words", [["no-such-file"], [__file__, "--head", "abc"], []])
def test_verify_used_wrongly_is_a_usage_error(words: list[str]):
    assert run("receipts", "verify", *words).code == 2


def test_a_float_that_would_be_read_as_too_large_an_integer_is_kept_as_text():
    assert storable(9007199254740992.0) == "9007199254740992.0"
