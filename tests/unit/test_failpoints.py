"""Failpoints: each has a place in the code, rubbish is refused, and unarmed they do nothing."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steward.errors import ConfigurationError
from steward.failpoints import POINTS, armed, failpoint, parse

ROOT = Path(__file__).parents[2]
ROOMS = ("steward", "webhook_receiver", "handlers", "workers", "serving")


def test_every_point_has_exactly_one_place_in_the_code() -> None:
    places = [
        name
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
        for name in re.findall(r'\bfailpoint\("([^"]+)"\)', file.read_text())
    ]

    assert sorted(places) == sorted(POINTS)


def test_nothing_happens_unless_the_process_was_armed() -> None:
    assert armed() == ()
    for name in POINTS:
        failpoint(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("intake.aftercommit=kill", "no point intake.aftercommit; there are intake.before_commit"),
        ("intake.after_commit=explode", "explode is none of kill, stop, sleep:SECONDS"),
        ("intake.after_commit", "is none of kill"),
        ("intake.after_commit=sleep:long", "a wrong number"),
        ("intake.after_commit=kill@often", "a wrong number"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_is_expected(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        parse(text)


def test_several_points_may_be_armed() -> None:
    found = parse("intake.after_commit=kill@2, claim.after_commit=sleep:0.5@*,")

    assert found["intake.after_commit"].at == 2
    assert found["claim.after_commit"].at is None
    assert found["claim.after_commit"].seconds == 0.5


def _run(armed_with: str, times: int) -> subprocess.CompletedProcess[str]:
    code = (
        "from steward.failpoints import arm, failpoint\n"
        f"arm('{armed_with}')\n"
        f"for number in range({times}):\n"
        "    failpoint('claim.after_commit'); print(number, flush=True)"
    )
    environment = {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_kill_is_sigkill_at_the_chosen_time() -> None:
    done = _run("claim.after_commit=kill@3", times=5)

    assert done.returncode == -9
    assert done.stdout.split() == ["0", "1"]


def test_sleep_holds_the_process_up() -> None:
    began = time.monotonic()
    done = _run("claim.after_commit=sleep:0.4@*", times=2)

    assert done.returncode == 0
    assert time.monotonic() - began > 0.8


def test_a_role_does_not_start_armed_where_nobody_said_that_it_is_a_test(tmp_path: Path) -> None:
    environment = {
        "STEWARD_FAILPOINTS": "intake.after_commit=kill",
        "STEWARD_DATA_DIR": str(tmp_path / "data"),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-m", "steward.cli", "receiver"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "STEWARD_FAILPOINTS is set: it makes a process kill itself" in done.stderr
