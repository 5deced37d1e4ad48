"""Versions that do harm when they are asked end as a failed check; the worker lives."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest
from sklearn.linear_model import Ridge

from tests.acceptance.real_data.clinic import Clinic
from tests.integration import sandbox_models
from tests.servers import eventually

RUNNER = "steward.clients.sandbox.runner"


def workers(clinic: Clinic) -> list[psutil.Process]:
    """The workers and their pools; without the runners and what these started."""
    pids = clinic.stack.up["pids"]
    heads = [psutil.Process(pids[f"worker-{queue}"]) for queue in ("default", "validation")]
    beneath = [one for head in heads for one in head.children(recursive=True)]
    return [each for each in [*heads, *beneath] if is_worker(each)]


def is_worker(process: psutil.Process) -> bool:
    """A runner's forks have its command line; one that ended has none until it is reaped."""
    try:
        return bool(process.cmdline()) and RUNNER not in process.cmdline()
    except psutil.Error:
        return False


def left_in_sandboxes(clinic: Clinic) -> list[psutil.Process]:
    """What lives beneath the runners of this installation, or has got away from them."""
    owners = {each.pid for each in workers(clinic)}
    return [each for each in psutil.process_iter() if is_left(each, owners, str(clinic.directory))]


def is_left(process: psutil.Process, owners: set[int], directory: str) -> bool:
    try:
        if RUNNER not in process.cmdline() or process.ppid() in owners:
            return False
        return any(directory in each.environ().get("PYTHONPATH", "") for each in lineage(process))
    except psutil.Error:
        return False


def lineage(process: psutil.Process) -> Iterator[psutil.Process]:
    """The process and its parents, as far as they may be asked: a child gives up its rights."""
    for each in (process, *process.parents()):
        with suppress(psutil.AccessDenied):
            each.environ()
            yield each


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (sandbox_models.Hangs, "scoring took more than 6 s"),
        (sandbox_models.Allocates, "scoring took more than 512 MiB of memory"),
        (sandbox_models.ForksWithoutEnd, "it started processes of its own"),
        (sandbox_models.PrintsGigabyte, "printed more than 16 MiB"),
    ],
)
def test_a_version_that_does_harm_is_rejected_with_the_reason(
    clinic: Clinic, harm: Any, reason: str
) -> None:
    model, table = f"harm-{harm.__name__.lower()}", clinic.diabetes
    before = workers(clinic)

    version = clinic.register(model, harm(), table.train[table.features])

    found = clinic.judged(model, version)

    assert (found.verdict, found.code) == ("rejected", "check_failed"), found
    assert found.having("fail") == {"scoring"}
    assert "the candidate cannot score the holdout: " in found.reasons
    assert reason in found.reasons
    assert workers(clinic) == before
    eventually(lambda: not left_in_sandboxes(clinic), 10)


def test_after_harm_the_next_version_is_validated(clinic: Clinic) -> None:
    version = clinic.learn("harm-not", Ridge(), clinic.diabetes)

    found = clinic.judged("harm-not", version)

    assert found.verdict == "promoted", found
    eventually(lambda: not left_in_sandboxes(clinic), 10)
