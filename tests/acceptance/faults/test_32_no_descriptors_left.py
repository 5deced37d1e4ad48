"""Fault 32: the receiver has no descriptor left, because strangers hold its connections: it does
not die, and takes deliveries again when they leave, or when it has let them go itself."""

import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from tests.acceptance.deliveries import created
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.senders import Told, ask, connect, letter, unheard
from tests.acceptance.faults.site import Site
from tests.servers import eventually
from webhook_receiver.patience import REQUEST_SECONDS

DESCRIPTORS = 64
STRANGERS = 2 * DESCRIPTORS


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Limits of others are set on Linux.")
@pytest.mark.parametrize("ends_by", ["strangers", "receiver"])
def test_32_no_descriptors_left(site: Site, name: str, ends_by: str) -> None:
    receiver = psutil.Process(site.children["receiver"].pid)
    with unheard(site), _limited(receiver):
        version = site.register(name, auc=0.9)
        message = letter(created(name, version), delivery_id=f"{name}-1")
        with ExitStack() as strangers:
            for _ in range(STRANGERS):
                strangers.enter_context(connect(site))
            eventually(lambda: receiver.num_fds() >= DESCRIPTORS - 2)
            refused = _try(site, message)
            assert refused is None or refused.status == 503

            if ends_by == "strangers":
                strangers.close()
            eventually(lambda: receiver.num_fds() < DESCRIPTORS - 10, 3 * REQUEST_SECONDS)
            answer = eventually(lambda: _taken(site, message), REQUEST_SECONDS)

    assert receiver.is_running()
    assert receiver.pid == site.children["receiver"].pid
    site.await_verdict(name, version, "promoted")
    assert_sound(site, name, acknowledged={f"{name}-1": answer.document["event_id"]})


@contextmanager
def _limited(process: psutil.Process) -> Iterator[None]:
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (soft, hard))


def _try(site: Site, message: bytes) -> Told | None:
    """The answer; None where the connection is refused, ended or left alone."""
    try:
        return ask(site, message, timeout_seconds=2)
    except (ConnectionError, TimeoutError):
        return None


def _taken(site: Site, message: bytes) -> Told | None:
    answer = _try(site, message)
    return answer if answer and answer.status == 202 else None
