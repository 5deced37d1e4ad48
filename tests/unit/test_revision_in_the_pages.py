"""What the pages show of the journal's revision is the one that this program makes."""

import re
from pathlib import Path

import pytest

from steward.journal.migrate import HEAD

ROOT = Path(__file__).parents[2]
SHOWN = re.compile(r"(?:revision |revision +ok +|journal )(\d{4})\b")


@pytest.mark.parametrize(
    ("page", "times"), [("docs/cli.md", 3), ("webhook_receiver/api/health.py", 1)]
)
def test_the_revision_that_a_page_shows_is_the_newest(page: str, times: int) -> None:
    shown = SHOWN.findall((ROOT / page).read_text(encoding="utf-8"))

    assert shown == [HEAD] * times
