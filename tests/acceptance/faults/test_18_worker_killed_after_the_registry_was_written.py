"""Fault 18: the whole worker dies between a write of the registry and its record."""

import pytest

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.site import Site


@pytest.mark.parametrize("write", [1, 2, 3])
def test_18_worker_killed_after_the_registry_was_written(site: Site, name: str, write: int) -> None:
    first = site.register(name, auc=0.9)
    site.await_verdict(name, first, "promoted")
    site.stop("worker-default")
    site.start("worker-default", failpoints=f"registry.after_write=kill@{write}", wait=False)

    with site.replicas(name) as fleet:
        second = site.register(name, auc=0.95)
        site.await_death("worker-default")
        site.start("worker-default")
        site.await_verdict(name, second, "promoted")

        assert_sound(site, name, fleet=fleet)
        assert [replica.version for replica in fleet] == [second] * 3
    assert site.witness.of(name, "alias", "champion") == [first, second]
