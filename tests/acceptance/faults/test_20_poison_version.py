"""Fault 20: a version kills whatever touches it: who validates it, or the replicas that load it.

Validation is killed from outside each time it reads the version. For the replicas, real models
crash, take memory without end, or never stop loading; the limits are 40 s and 500 MiB here.
"""

import ctypes
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx

from steward.errors import StewardError
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.looking import holder_of, outcomes_of
from tests.acceptance.faults.site import Site
from tests.models import client_of, tracking_to
from tests.servers import CapturedRequest, Child, eventually, free_port
from workers.sweep import DEATHS_ALLOWED

LOAD_SECONDS = 40
ROW = {"inputs": [[0.1, 0.2, 0.3]]}


def test_20_poison_version_kills_its_validation(site: Site, name: str) -> None:
    other = f"{name}-other"
    first = site.register(name, auc=0.86)
    site.await_verdict(name, first, "promoted")
    killed: list[int] = []

    def kill_who_reads_it(request: CapturedRequest) -> None:
        if "model-versions/get" in request.path and is_about(request, name, "2"):
            with suppress(StewardError, AssertionError):
                killed.append(holder_of(site, name, "validate", within=1))
                os.kill(killed[-1], signal.SIGKILL)

    site.witness.fails = kill_who_reads_it
    poison = site.register(name, auc=0.99)
    assert poison == "2"
    beside = site.register(other, auc=0.90)
    after = site.register(name, auc=0.90)
    site.await_verdict(other, beside, "promoted")
    site.await_verdict(name, after, "promoted")
    eventually(lambda: site.events(model=name, type="dispatch.died"), 90, every_seconds=0.5)
    site.witness.fails = lambda _: None

    assert_sound(site, name, other, dead_allowed=1)
    assert len(killed) == DEATHS_ALLOWED
    assert outcomes_of(site, name, "validate", poison) == ["expired"] * 2 + ["dead"]
    assert site.verdict(name, poison) != "promoted"
    assert site.witness.of(name, "alias", "champion") == [first, after]
    [died] = site.events(model=name, type="dispatch.died")
    assert (died["version"], died["data"]["handler"]) == (poison, "validate")
    assert [title for title in site.slack.titles(name) if "gave up" in title]


def test_20_poison_models_stop_no_replica(site: Site, name: str) -> None:
    first = site.register(name, auc=0.86, real_model=True)
    site.await_verdict(name, first, "promoted")

    with real_replicas(site, name, 2) as replicas:
        pids = [replica.child.pid for replica in replicas]
        with Asking(replicas) as asking:
            for poison, reason in POISONS.items():
                bad = register_loading(site, name, poison, auc=0.92)
                site.await_verdict(name, bad, "held", within=120)
                held = site.events(model=name, version=bad, type="promotion.held")[-1]["data"]
                assert held["code"] == "not_servable"
                assert reason in " ".join(held["reasons"])
                assert {replica.serves() for replica in replicas} == {first}
            good = site.register(name, auc=0.95, real_model=True)
            site.await_verdict(name, good, "promoted", within=120)
            eventually(lambda: {replica.serves() for replica in replicas} == {good}, 60)

        assert [replica.child.pid for replica in replicas if replica.child.is_alive()] == pids
        assert asking.answered > len(POISONS)
        assert asking.failed == []
        assert_sound(site, name)
    assert site.witness.of(name, "alias", "champion") == [first, good]


# -- versions that harm who loads them -------------------------------------------------------------


def crash() -> Callable[[], Any]:
    return lambda: ctypes.string_at(0)


def take_all_memory() -> Callable[[], Any]:
    def load() -> None:
        taken = []
        while True:
            taken.append(bytearray(8 << 20))

    return load


def never_end() -> Callable[[], Any]:
    def load() -> None:
        while True:
            pass

    return load


POISONS = {
    crash: "SIGSEGV",
    take_all_memory: "MiB of memory",
    never_end: f"not load within {LOAD_SECONDS} s",
}


def register_loading(site: Site, model: str, make: Callable[[], Any], *, auc: float) -> str:
    """Register a version that does this when it is loaded; its metrics are good."""
    import mlflow.pyfunc

    load = make()

    class Poison(mlflow.pyfunc.PythonModel):  # local, so that its code travels with it
        def load_context(self, context: Any) -> None:
            load()

        def predict(self, context, model_input):  # type: ignore[no-untyped-def]  # MLflow reads them
            return [0]

    url = site.mlflow.url
    with warnings.catch_warnings(action="ignore"), tracking_to(url), mlflow.start_run() as run:
        logged = mlflow.pyfunc.log_model(name="model", python_model=Poison(), pip_requirements=[])
        mlflow.log_metric("test_auc", auc, model_id=logged.model_id)
    version = client_of(url).create_model_version(
        model,
        f"models:/{logged.model_id}",
        run.info.run_id,
        model_id=logged.model_id,
        await_creation_for=0,
    )
    return str(version.version)


# -- replicas --------------------------------------------------------------------------------------


class RealReplica:
    """`steward replica`, with a data directory of its own as on a machine of its own."""

    def __init__(self, site: Site, model: str, directory: Path) -> None:
        port = free_port()
        directory.mkdir(parents=True)
        command = [sys.executable, "-m", "steward.cli", "replica"]
        command += ["--model", model, "--port", str(port)]
        told = {
            "STEWARD_DATA_DIR": str(directory / "data"),
            "STEWARD_LOAD_SECONDS": str(LOAD_SECONDS),
            "STEWARD_LOAD_MEMORY_MB": "500",
        }
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)
        self.child = Child(command, directory / "replica.log", env=site.environment() | told)

    def is_ready(self) -> bool:
        try:
            return self.http.get("/readyz").is_success
        except httpx.HTTPError:
            return False

    def serves(self) -> str:
        """The version that answers a request; empty when none does."""
        try:
            answer = self.http.post("/invocations", json=ROW)
        except httpx.HTTPError:
            return ""
        return str(answer.headers["x-model-version"]) if answer.is_success else ""


@contextmanager
def real_replicas(site: Site, model: str, count: int) -> Iterator[list[RealReplica]]:
    """Replicas that are ready and known to Steward when the block begins."""
    with ExitStack() as stack:
        replicas = []
        for number in range(count):
            replica = RealReplica(site, model, site.directory / f"{model}-{number}")
            stack.callback(replica.http.close)
            stack.callback(replica.child.stop)
            replicas.append(replica)
        for replica in replicas:
            replica.child.wait_until(replica.is_ready, 120)
        eventually(lambda: len(site.get("/replicas", model=model)["items"]) == count, 30)
        yield replicas


class Asking:
    """Somebody who asks each replica for predictions all the time."""

    def __init__(self, replicas: list[RealReplica]) -> None:
        self.answered = 0
        self.failed: list[float] = []
        self._replicas = replicas
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _ask(self) -> None:
        while not self._stop.wait(0.2):
            for replica in self._replicas:
                if replica.serves():
                    self.answered += 1
                else:
                    self.failed.append(time.monotonic())


def is_about(request: CapturedRequest, model: str, version: str) -> bool:
    """Whether a request names this version, in its address or its body."""
    query = dict(httpx.QueryParams(request.path.partition("?")[2]))
    if (query.get("name"), query.get("version")) == (model, version):
        return True
    body = request.body.decode()
    return f'"{model}"' in body and f'"version": "{version}"' in body
