"""Fault 14: the workers' connections to the broker die without a word; new ones would pass.

As when a firewall forgets a connection: no reset, no end, and bytes go nowhere.
"""

import time

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.looking import outcomes_of
from tests.acceptance.faults.site import ROLES, Site
from tests.chaos import ChaosProxy
from tests.servers import eventually

CONSUMING_AGAIN_SECONDS = 15.0
WORKERS = [name for name in ROLES if name.startswith("worker")]


def test_14_half_open_connections_to_the_broker(site: Site, name: str) -> None:
    assert site.broker is not None
    with ChaosProxy(site.broker.port).running() as proxy:
        try:
            for worker in WORKERS:
                site.stop(worker)
                site.start(worker, STEWARD_BROKER_URL=f"redis://127.0.0.1:{proxy.port}/0")
            first = site.register(name, auc=0.86)
            site.await_verdict(name, first, "promoted")
            assert_sound(site, name)
            connections = proxy.accepted

            proxy.freeze()
            frozen = time.monotonic()
            second = site.register(name, auc=0.90)  # its hints go to a connection that is dead
            eventually(lambda: proxy.accepted >= connections + len(WORKERS), 30)
            third = site.register(f"{name}-new", auc=0.90)
            judged = lambda: outcomes_of(site, f"{name}-new", "validate", third)  # noqa: E731
            eventually(judged, 2 * CONSUMING_AGAIN_SECONDS)
            reconnected_after = time.monotonic() - frozen
            site.await_verdict(f"{name}-new", third, "promoted", within=60)
            site.await_verdict(name, second, "promoted", within=60)

            assert_sound(site, name, f"{name}-new")
            assert reconnected_after < CONSUMING_AGAIN_SECONDS, f"{reconnected_after:.1f} s"
        finally:
            for worker in WORKERS:
                site.kill(worker)  # it was told of the proxy, which ends here
