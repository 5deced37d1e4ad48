"""Writes the table of faults and their last results into docs/guarantees.md.

``make faults`` runs the faults and then this. What a fault is called is the first sentence of its
test module; how it ended last is what ``conftest.py`` kept.
"""

import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import ROOT

PAGE = ROOT / "docs" / "guarantees.md"
RESULTS = ROOT / ".pytest_cache" / "faults.json"
FOLDER = Path(__file__).parent
BEGIN, END = "<!-- faults -->", "<!-- /faults -->"


@dataclass(frozen=True, slots=True)
class Fault:
    """One row: its number ("" for what goes beyond them), what happens, and where it is tried."""

    number: str
    what: str
    file: str

    def row(self, results: Mapping[str, Mapping[str, Any]]) -> str:
        """The row of the table, with the last result of all tests of the file together."""
        mine = [v for key, v in results.items() if key.split("::")[0] == Path(self.file).stem]
        words = {each["outcome"] for each in mine}
        if not mine:
            told = "not run"
        elif words == {"passed"}:
            told = f"passed {max(each['on'] for each in mine)}"
        else:
            told = ", ".join(sorted(words))
        seconds = f"{sum(each['seconds'] for each in mine):.0f} s" if mine else ""
        link = f"[`{self.file}`](../tests/acceptance/faults/{self.file})"
        return f"| {self.number} | {self.what} | {link} | {told} | {seconds} |"


def faults() -> Iterator[Fault]:
    """Every fault there is a test of, the numbered ones first."""
    for file in sorted(FOLDER.glob("test_*.py"), key=_order):
        text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        sentence = " ".join(text.split("\n\n")[0].split())
        what = re.sub(r"^Fault \d+: ", "", sentence)
        yield Fault(_number(file), what[:1].upper() + what[1:], file.name)


def _number(file: Path) -> str:
    found = re.match(r"test_(\d\d)_", file.name)
    return str(int(found[1])) if found else ""


def _order(file: Path) -> tuple[int, str]:
    return (int(_number(file) or 999), file.name)


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole table."""
    head = "| # | fault | test | last result | took |\n| --- | --- | --- | --- | --- |"
    return "\n".join([head, *(fault.row(results) for fault in faults())])


def main() -> int:
    """Rewrite the page between the two marks."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
