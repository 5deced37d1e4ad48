"""The health endpoint of workers and the poller answers where the receiver would."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from steward import health
from steward.cli import stack
from steward.cli.planning import Wish, make_plan
from steward.errors import ConfigurationError
from steward.settings import Settings
from tests.servers import free_port


@pytest.mark.parametrize(("host", "asked"), [("0.0.0.0", "127.0.0.1"), ("::1", "[::1]")])
def test_it_answers_on_the_host_of_the_settings(host: str, asked: str) -> None:
    port = free_port()

    health.serve(port, host=host, is_ready=lambda: False)

    with httpx.Client(base_url=f"http://{asked}:{port}", trust_env=False) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503


def test_a_host_of_another_machine_is_said() -> None:
    with pytest.raises(ConfigurationError, match=r"on 203\.0\.113\.7"):
        health.serve(free_port(), host="203.0.113.7", is_ready=lambda: True)


def test_in_the_local_stack_the_receiver_alone_is_opened_to_others(tmp_path: Path) -> None:
    plan, _ = make_plan(Wish(tmp_path, host="0.0.0.0"), Settings(_env_file=None))

    programs = {each.name: each for each in stack.programs(plan)}

    assert "0.0.0.0" in programs["receiver"].command
    assert programs["worker-default"].environment["STEWARD_HOST"] == "127.0.0.1"
    assert programs["poller"].environment["STEWARD_HOST"] == "127.0.0.1"


_COUNTS_IN_A_FORK = """
import multiprocessing, urllib.request
from prometheus_client import Counter, Gauge
from steward import health

work, state = Counter("tried_work", "Work"), Gauge("tried_state", "State")
def fork(): work.inc(); state.set(1)
for child in [multiprocessing.get_context("fork").Process(target=fork) for _ in range(2)]:
    child.start(); child.join()
health.serve(PORT, host="127.0.0.1", is_ready=lambda: True)
print(urllib.request.urlopen("http://127.0.0.1:PORT/metrics").read().decode())
"""


def test_what_forks_counted_is_told_after_their_end_and_what_they_were_is_not(
    tmp_path: Path,
) -> None:
    code = _COUNTS_IN_A_FORK.replace("PORT", str(free_port()))
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "NO_PROXY": "*"}

    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout

    assert "\ntried_work_total 2.0\n" in told
    assert "tried_state" not in told
