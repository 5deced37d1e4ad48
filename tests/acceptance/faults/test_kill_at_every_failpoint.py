"""Every role is killed at every failpoint once, while versions arrive: nothing is lost or doubled.

In each round every role is armed with its next point, and started again, unarmed, as soon as it
died of it; versions are registered until all have died. So each kill meets the others' as well.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import zip_longest

import psutil
import pytest
import redis

from steward.failpoints import POINTS
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.site import Site
from tests.servers import eventually

ALL_DEAD_WITHIN = 180.0
_WHERE = {
    "receiver": ("receiver", "every role"),
    "worker-default": ("worker", "every role"),
    "worker-validation": ("worker", "every role"),
    "poller": ("poller", "every role"),
}
_NEVER_IN_VALIDATION = ("intent.", "registry.", "effect.", "channel.", "replica.")


def points_of(role: str) -> list[str]:
    """The failpoints that a role can reach."""
    found = [name for name, what in POINTS.items() if what.split(":")[0] in _WHERE[role]]
    if role == "worker-validation":
        return [name for name in found if not name.startswith(_NEVER_IN_VALIDATION)]
    return found


def rounds() -> Iterator[dict[str, str]]:
    """One point for each role, until every role had all of its own."""
    roles = list(_WHERE)
    for points in zip_longest(*(points_of(role) for role in roles)):
        yield {role: point for role, point in zip(roles, points, strict=True) if point}


def test_every_failpoint_is_in_a_round() -> None:
    assert {point for each in rounds() for point in each.values()} == set(POINTS)


@pytest.mark.parametrize("armed", list(rounds()), ids=lambda armed: "+".join(armed.values())[:60])
def test_killed_at_each_failpoint(site: Site, armed: dict[str, str], name: str) -> None:
    for role, point in armed.items():
        site.kill(role)
        site.start(role, failpoints=f"{point}=kill", wait=False)
    victims = {role: _processes(site, role) for role in armed}

    with site.replicas(name, 2) as fleet:
        number, deadline = 0, time.monotonic() + ALL_DEAD_WITHIN
        while victims:
            assert time.monotonic() < deadline, f"never reached: {[armed[r] for r in victims]}"
            number += 1
            site.register(name, auc=0.86 + 0.03 * number)
            time.sleep(0.5)  # as people do: a flood would only hide the kills
            _lose_hints(site)
            for role in [each for each in victims if _has_died(site, each, victims)]:
                site.kill(role)
                site.start(role, wait=False)
                del victims[role]
        site.await_ready()
        best = site.register(name, auc=0.86 + 0.03 * (number + 1))
        site.await_verdict(name, best, "promoted")

        assert_sound(site, name, fleet=fleet)
        assert {replica.version for replica in fleet} == {best}


def _lose_hints(site: Site) -> None:
    """Empty the broker, so that the sweep has something to do."""
    with redis.Redis.from_url(site.broker_url) as client:
        client.flushall()


def _processes(site: Site, role: str) -> set[int]:
    """Whose death is the role's: forks are killed beneath a parent that lives on."""
    if role != "worker-validation":
        return {site.children[role].pid}
    return set(eventually(lambda: site.workers_beneath(role), 60))


def _has_died(site: Site, role: str, victims: dict[str, set[int]]) -> bool:
    if not site.children[role].is_alive():
        return True
    with suppress(psutil.NoSuchProcess):
        return role == "worker-validation" and not victims[role] <= set(site.workers_beneath(role))
    return True
