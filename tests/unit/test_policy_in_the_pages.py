"""What the pages show of a policy's hash is the hash of the file that they speak of."""

import hashlib
import re
from pathlib import Path

import pytest

from steward.policy import PolicySet

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMED = re.compile(r"\bdefault@([0-9a-f]{12})")


def test_the_built_in_policy_is_named_by_its_hash_on_every_page() -> None:
    (built_in,) = PolicySet.built_in().policies
    shown = [(page, hash_) for page in PAGES for hash_ in NAMED.findall(page.read_text("utf-8"))]

    assert len(shown) > 2
    assert [each for each in shown if each[1] != built_in.file_hash[:12]] == []


@pytest.mark.parametrize(
    ("page", "shown", "file"),
    [
        ("docs/policy.md", r"fraud@([0-9a-f]{12})", "examples/policies/fraud.yaml"),
        ("docs/receipts.md", r"sha256 ([0-9a-f]{64})", "steward/policy/built_in.yaml"),
    ],
)
def test_a_page_names_the_hash_of_the_policy_that_it_speaks_of(
    page: str, shown: str, file: str
) -> None:
    found = re.findall(shown, (ROOT / page).read_text("utf-8"))
    full = hashlib.sha256((ROOT / file).read_bytes()).hexdigest()

    assert found
    assert [each for each in found if not full.startswith(each)] == []
