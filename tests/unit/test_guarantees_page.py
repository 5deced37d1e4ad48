"""docs/guarantees.md names every fault that is tried, and no other."""

import re

from tests.acceptance.faults.report import BEGIN, END, PAGE, faults


def _rows() -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return text.split(BEGIN)[1].split(END)[0].strip().splitlines()[2:]


def test_the_page_lists_exactly_the_faults_there_are() -> None:
    listed = [re.findall(r"\[`([^`]+)`\]", row)[0] for row in _rows()]

    assert listed == [fault.file for fault in faults()]


def test_the_page_calls_each_fault_as_its_test_does() -> None:
    assert [row.split(" | ")[1] for row in _rows()] == [fault.what for fault in faults()]


def test_all_thirty_are_tried() -> None:
    assert {fault.number for fault in faults()} >= {str(number) for number in range(1, 31)}
