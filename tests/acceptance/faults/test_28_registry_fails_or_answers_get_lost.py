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


def test_28_what_waits_halfway_is_told_though_a_better_version_passed_it(
    site: Site, name: str
) -> None:
    """A promotion that is to be tried again holds no lane; what it wrote happened all the same."""
    first = site.register(name, auc=0.9)
    site.await_verdict(name, first, "promoted")
    second = str(int(first) + 1)
    about = {"alias": "champion", "version": second}
    failing = Failing(site, ALIAS, Answer(503, b"not now"), count=1000, about=about)
    site.witness.fails = failing
    assert site.register(name, auc=0.95) == second
    eventually(lambda: failing.failed, 60)

    third = site.register(name, auc=0.99)
    site.await_verdict(name, third, "promoted")
    site.await_verdict(name, second, "promoted")

    assert_sound(site, name)
    assert site.witness.of(name, "stage", "Production") == [first, second, third]
    assert site.witness.of(name, "alias", "champion") == [first, third]
    [late] = site.events(model=name, version=second, type="model_version.promoted")
    assert (late["data"]["before"], late["data"]["after"]) == (first, second)
    assert late["data"]["reasons"][-1] == f"Production is version {third} by now"


def test_28_what_was_rolled_back_halfway_stays_rolled_back(site: Site, name: str) -> None:
    """The promotion is told later than the rollback that passed it, and happened before it."""
    first, second = promoted_in_turn(site, name, 0.86, 0.9)
    third = str(int(second) + 1)
    about = {"alias": "champion", "version": third}
    failing = Failing(site, ALIAS, Answer(503, b"not now"), count=1000, about=about)
    site.witness.fails = failing
    assert site.register(name, auc=0.95) == third
    eventually(lambda: failing.failed, 60)

    assert site.post(f"/models/{name}/rollback", {"reason": "it is bad"}).is_success
    eventually(lambda: site.events(model=name, version=third, type="model_version.promoted"), 60)

    assert_sound(site, name)
    [late] = site.events(model=name, version=third, type="model_version.promoted")
    [left] = site.events(model=name, type="model_version.rolled_back")
    assert late["data"]["overtaken"]
    assert late["time"] < left["time"]
    assert site.verdict(name, third) == "rolled_back"
    assert site.witness.of(name, "stage", "Production") == [first, second, third, second]
    explained = site.get(f"/models/{name}/explain", version=third)
    assert explained["sections"]["decided"]["verdict"] == "rolled_back"


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
