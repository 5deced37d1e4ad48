"""The papers and the house rules are true: paths and commands exist, imports keep to the rooms."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import handlers
from steward.events import EventType

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def paths_named(text: str) -> set[str]:
    return set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|md|yaml))`", text))


def test_the_walk_of_one_event_names_files_that_exist():
    walk = README.split("## The walk of one event")[1].split("## Configuration")[0]

    named = paths_named(walk)

    assert len(named) > 12
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_a_page_names_files_and_pages_that_exist(page: Path):
    text = page.read_text(encoding="utf-8")
    links = {link for link in re.findall(r"\]\(([^)#:]+\.md)", text) if "//" not in link}

    assert [path for path in sorted(paths_named(text)) if not (ROOT / path).is_file()] == []
    assert [link for link in sorted(links) if not (page.parent / link).is_file()] == []


def test_the_readme_links_pages_that_exist():
    links = re.findall(r"\]\(([^)#:]+\.md)", README)

    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_every_route_is_a_known_event_and_every_handler_a_function_of_its_module():
    known = {str(each) for each in EventType}
    names = {name for handlers_ in handlers.ROUTES.values() for name in handlers_}

    assert set(handlers.ROUTES) <= known
    for name in names:
        module = (ROOT / "handlers" / f"{name}.py").read_text(encoding="utf-8")
        assert f"\ndef {name}(event: Event, services: Services) -> Outcome:" in module


def test_make_help_has_a_sentence_for_every_command():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)

    answer = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    for command in phony.split():
        assert re.search(rf"^  make {command} +\S", answer.stdout, re.MULTILINE), command


def test_each_top_level_package_is_ours_from_any_folder(tmp_path: Path):
    rooms = ("steward", "webhook_receiver", "handlers", "workers", "serving")
    code = f"import importlib; print([importlib.import_module(r).__path__[0] for r in {rooms}])"

    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert answer.stdout.strip() == str([str(ROOT / room) for room in rooms])


def test_the_rooms_import_what_the_house_allows():
    answer = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--config", ".importlinter", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )

    assert answer.returncode == 0, answer.stdout


def test_operations_names_metrics_that_are_exported():
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rooms = ("webhook_receiver", "workers", "steward", "serving")
    code = "".join(
        file.read_text(encoding="utf-8") for room in rooms for file in (ROOT / room).rglob("*.py")
    ).replace("steward_oldest_{name}_dispatch", "steward_oldest_due_dispatch")
    named = {name.split("{")[0] for name in re.findall(r"`(steward_[a-z_]+[^`]*)`", page)}

    assert {name for name in named if name not in code} <= {
        "steward_oldest_unfinished_dispatch_seconds"
    }
