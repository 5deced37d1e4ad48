"""The pages say what the checks do, and the published simulation can be made again."""

import re
from pathlib import Path

import pytest

from benchmarks.decision_quality import Cell, measured
from handlers.checks.metrics import METRICS

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "docs" / "checks"
CHECKS = (
    *("quality", "sanity", "determinism", "latency", "drift"),
    *("fairness", "robustness", "schema", "environment", "own"),
)


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_has_a_page_that_the_index_names(check):
    page = (PAGES / f"{check}.md").read_text(encoding="utf-8")
    index = (PAGES / "README.md").read_text(encoding="utf-8")

    assert (ROOT / "handlers" / "checks" / f"{check}.py").is_file()
    assert f"({check}.md)" in index
    assert "**Misleads**" in page


def test_the_page_of_quality_names_every_metric():
    page = (PAGES / "quality.md").read_text(encoding="utf-8")

    assert [name for name in METRICS if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    "page",
    [*PAGES.glob("*.md"), *(ROOT / "docs" / name for name in ("comparison.md", "report.md"))],
)
def test_links_of_the_pages_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_our_rule_promotes_less_noise_than_the_plain_one():
    shares = measured(Cell(n=500, prevalence=0.1, difference=0.0), pairs=60, seed=1)

    assert shares.ours == 0
    assert shares.plain > 0.1
    assert shares.asked > 0.8


def test_our_rule_sees_a_better_version_where_the_rows_suffice():
    shares = measured(Cell(n=10_000, prevalence=0.3, difference=0.04), pairs=20, seed=1)

    assert shares.ours == 1
