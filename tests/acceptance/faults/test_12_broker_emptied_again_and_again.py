"""Fault 12: somebody empties the broker again and again while versions arrive.

Every 0.3 seconds for at least 15 seconds, not every 5 seconds for 2 minutes.
"""

import threading
import time
from typing import Self

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.looking import queued, valkey_of
from tests.acceptance.faults.site import Site
from tests.servers import eventually

MODELS, VERSIONS = 5, 4
EVERY_SECONDS = 0.3
EMPTIED_FOR_SECONDS = 15.0


def test_12_broker_emptied_again_and_again(site: Site, name: str) -> None:
    models = [f"{name}-{n}" for n in range(MODELS)]
    repeated = site.metric("poller", "steward_sweep_hints_total")
    site.stop("worker-validation")
    for model in models:
        site.register(model, auc=0.90)
    eventually(lambda: queued(site, "validation") >= MODELS, 20)

    with Emptying(site) as emptying:
        began = time.monotonic()
        eventually(lambda: queued(site, "validation") == 0, 10)
        site.start("worker-validation")
        for round_ in range(1, VERSIONS):
            for model in models:
                site.register(model, auc=0.90 + 0.03 * round_)
        wanted = [(model, str(VERSIONS)) for model in models]
        # All of it ends while the broker is still being emptied.
        eventually(lambda: all(site.verdict(*each) == "promoted" for each in wanted), 90)
        eventually(lambda: time.monotonic() - began > EMPTIED_FOR_SECONDS, 30)

    assert emptying.times > EMPTIED_FOR_SECONDS / EVERY_SECONDS / 2
    assert_sound(site, *models)
    assert site.metric("poller", "steward_sweep_hints_total") >= repeated + MODELS


class Emptying:
    """FLUSHALL, again and again, while the block lasts."""

    def __init__(self, site: Site) -> None:
        self.times = 0
        self._site = site
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        with valkey_of(self._site) as client:
            while not self._stop.wait(EVERY_SECONDS):
                client.flushall()
                self.times += 1
