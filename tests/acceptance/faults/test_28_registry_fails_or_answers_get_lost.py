"""Fault 28: MLflow fails, hangs, or carries a write out and its answer never arrives.

It is read again before it is written again, so that the alias and the stage change exactly once.
Scaled: MLflow hangs for 12 s, where a request waits for 10 s.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.site import Site
from tests.chaos import ChaosProxy
from tests.servers import Answer, CapturedRequest, eventually

ALIAS, STAGE = "/registered-models/alias", "/model-versions/transition-stage"


@dataclass
class Failing:
    """Answers ``answer`` to the first ``count`` requests of a path; perhaps after MLflow did it.

    ``about``: only to requests that say this.
    """

    site: Site
    path: str
    answer: Answer
    count: int
    is_carried_out: bool = False
    about: dict[str, str] = field(default_factory=dict)
    failed: int = 0

    def __call__(self, request: CapturedRequest) -> Answer | None:
        if self.failed >= self.count or not re.search(self.path, request.path):
            return None
        if "alias" in self.path and request.method != "POST":
            return None
        if self.about and not self.about.items() <= json.loads(request.body).items():
            return None
        self.failed += 1
        if self.is_carried_out:
            assert self.site.witness.carry_out(request).status == 200
        return self.answer


@pytest.mark.parametrize("path", [ALIAS, r"/model-versions/get"])
def test_28_registry_answers_5xx_for_a_while(site: Site, name: str, path: str) -> None:
    first = site.register(name, auc=0.9)
    site.await_verdict(name, first, "promoted")
    failing = Failing(site, path, Answer(503, b"not now"), count=3)
    site.witness.fails = failing

    second = site.register(name, auc=0.95)
    site.await_verdict(name, second, "promoted")

    assert failing.failed == 3
    assert_written_exactly_once(site, name, first, second)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (ALIAS, Answer(504, b"lost")),
        (STAGE, Answer(504, b"lost")),
        (ALIAS, Answer(200, b"{}", after_seconds=12)),
    ],
    ids=["alias-504", "stage-504", "alias-timeout"],
)
def test_28_registry_wrote_and_did_not_say_so(
    site: Site, name: str, path: str, answer: Answer
) -> None:
    first = site.register(name, auc=0.9)
    site.await_verdict(name, first, "promoted")
    failing = Failing(site, path, answer, count=1, is_carried_out=True)
    site.witness.fails = failing

    second = site.register(name, auc=0.95)
    site.await_verdict(name, second, "promoted")

    assert failing.failed == 1
    assert_written_exactly_once(site, name, first, second)


def test_28_what_stopped_halfway_is_finished_before_a_better_version_comes(
    site: Site, name: str
) -> None:
    first = site.register(name, auc=0.9)
    site.await_verdict(name, first, "promoted")
    second = stopped_halfway(site, name, after=first)

    third = site.register(name, auc=0.99)
    eventually(lambda: site.events(model=name, version=third, type="model_version.validated"), 60)
    assert site.witness.of(name, "stage", "Production") == [first, second]
    site.witness.fails = lambda _: None
    site.await_verdict(name, third, "promoted")

    assert_sound(site, name)
    assert site.witness.of(name, "stage", "Production") == [first, second, third]
    assert site.witness.of(name, "alias", "champion") == [first, second, third]
    told = site.events(model=name, type="model_version.promoted")
    assert [each["version"] for each in told] == [first, second, third]


def test_28_a_rollback_finds_what_stopped_halfway_finished(site: Site, name: str) -> None:
    first, second = promoted_in_turn(site, name, 0.86, 0.9)
    third = stopped_halfway(site, name, after=second)

    assert site.post(f"/models/{name}/rollback", {"reason": "it is bad"}).is_success
    site.witness.fails = lambda _: None
    site.await_verdict(name, third, "rolled_back")

    assert_sound(site, name)
    assert site.witness.of(name, "stage", "Production") == [first, second, third, second]
    assert site.witness.of(name, "alias", "champion") == [first, second, third, second]


def test_28_two_rollbacks_at_once_go_back_once_though_one_waits_halfway(
    site: Site, name: str
) -> None:
    first, second, third = promoted_in_turn(site, name, 0.86, 0.9, 0.95)
    about = {"alias": "champion", "version": second}
    site.witness.fails = Failing(site, ALIAS, Answer(503, b"not now"), count=3, about=about)

    site.stop("worker-default")
    asked = [site.post(f"/models/{name}/rollback", {"reason": f"{n}"}) for n in (1, 2)]
    site.start("worker-default")
    eventually(lambda: site.events(model=name, type="model_version.rolled_back"), 60)

    assert_sound(site, name)
    assert site.witness.of(name, "stage", "Production") == [first, second, third, second]
    [told] = site.events(model=name, type="model_version.rolled_back")
    assert told["causedby"] in {answer.json()["event_id"] for answer in asked}


@pytest.fixture
def proxy(site: Site) -> Iterator[ChaosProxy]:
    """The worker's way to MLflow leads through it."""
    with ChaosProxy(int(site.witness.url.rpartition(":")[2])).running() as proxy:
        site.stop("worker-default")
        site.start("worker-default", MLFLOW_TRACKING_URI=f"http://127.0.0.1:{proxy.port}")
        try:
            yield proxy
        finally:
            site.stop("worker-default")
            site.start("worker-default")


@pytest.mark.parametrize("path", [ALIAS, STAGE])
def test_28_connection_breaks_after_the_write(
    site: Site, name: str, path: str, proxy: ChaosProxy
) -> None:
    first = site.register(name, auc=0.9)
    site.await_verdict(name, first, "promoted")
    proxy.swallow_answers(b"POST /api/2.0/mlflow" + path.encode())

    second = site.register(name, auc=0.95)
    site.await_verdict(name, second, "promoted")

    assert proxy.swallowed == 1
    assert_written_exactly_once(site, name, first, second)


def stopped_halfway(site: Site, model: str, *, after: str) -> str:
    """A better version whose stage was written, and whose alias cannot be for now."""
    version = str(int(after) + 1)
    about = {"alias": "champion", "version": version}
    failing = Failing(site, ALIAS, Answer(503, b"not now"), count=1000, about=about)
    site.witness.fails = failing
    assert site.register(model, auc=0.95) == version
    eventually(lambda: failing.failed, 60)
    return version


def promoted_in_turn(site: Site, model: str, *aucs: float) -> list[str]:
    versions = []
    for auc in aucs:
        versions.append(site.register(model, auc=auc))
        site.await_verdict(model, versions[-1], "promoted")
    return versions


def assert_written_exactly_once(site: Site, model: str, first: str, second: str) -> None:
    assert_sound(site, model)
    assert site.witness.of(model, "alias", "champion") == [first, second]
    assert site.witness.of(model, "stage", "Production") == [first, second]
    changes = site.events(model=model, type="registered_model.champion_changed")
    assert [change["data"]["after"] for change in changes] == [first, second]
