"""Real replica processes on a real MLflow: what a reload, a restart and an outage cost a client."""

import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import httpx
import pytest

from serving.process import run
from steward.clients.replicas import HttpFleet
from steward.errors import ConfigurationError
from steward.events import ModelRef
from steward.ports import Replica
from steward.settings import Settings
from tests.integration.serving_support import (
    ROW,
    SECRET,
    START_SECONDS,
    ReplicaProcess,
    register_broken,
    register_telling_version,
)
from tests.models import client_of
from tests.servers import Answer, CapturedRequest, HttpCapture, MlflowServer, eventually

CLIENTS = 4
RELOADS = 12


@pytest.fixture(scope="module")
def versions(mlflow_server: str) -> list[str]:
    """Versions 1 to 3 of ``told``; version 1 has the alias ``champion``."""
    numbers = [
        register_telling_version(mlflow_server, "told", with_example=n != 2) for n in (1, 2, 3)
    ]
    client_of(mlflow_server).set_registered_model_alias("told", "champion", "1")
    return numbers


@pytest.fixture(scope="module")
def replica(
    mlflow_server: str, versions: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReplicaProcess]:
    """One replica of ``told``; its generation only grows from test to test."""
    directory = tmp_path_factory.mktemp("replica")
    with ReplicaProcess(directory, "told", tracking_uri=mlflow_server) as replica:
        replica.wait_ready()
        yield replica


def next_generation(replica: ReplicaProcess) -> int:
    return int(replica.served()["generation"]) + 1


class Clients:
    """Clients that predict all the while, and check that each answer is its version's own."""

    def __init__(self, replica: ReplicaProcess) -> None:
        self.statuses: Counter[int] = Counter()
        self.versions: Counter[str] = Counter()
        self.mixed: list[str] = []
        self._url = replica.url
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(CLIENTS)

    def __enter__(self) -> Self:
        self._running = [self._pool.submit(self._predict) for _ in range(CLIENTS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for running in self._running:
            running.result(30)
        self._pool.shutdown()

    def _predict(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30, trust_env=False) as http:
            while not self._stop.is_set():
                answer = http.post("/invocations", json=ROW)
                version = answer.headers.get("x-model-version", "?")
                self.statuses[answer.status_code] += 1
                self.versions[version] += 1
                if answer.json().get("predictions") != [float(version)]:
                    self.mixed.append(answer.text)


def test_no_request_fails_because_of_reloads(
    replica: ReplicaProcess, versions: list[str], tmp_path: Path, mlflow_server: str
) -> None:
    broken = register_broken(mlflow_server, "told", tmp_path)
    first = next_generation(replica)

    with Clients(replica) as clients:
        for step in range(RELOADS):
            version, seen = versions[step % 3], sum(clients.statuses.values())
            if step % 4 == 0:
                assert replica.call("prepare", version, first + step).status_code == 200
            if step % 4 == 1:
                assert replica.call("reload", broken, first + step).status_code == 422
            told = replica.call("reload", version, first + step)
            assert told.status_code == 200, told.text
            assert told.json()["version"] == version
            assert replica.http.get("/readyz").is_success
            eventually(lambda seen=seen: sum(clients.statuses.values()) > seen + CLIENTS)  # type: ignore[misc]

    assert set(clients.statuses) == {200}
    assert set(clients.versions) == set(versions)
    assert clients.mixed == []


def test_a_replica_is_alive_before_it_is_ready(
    mlflow_server: str, versions: list[str], tmp_path: Path
) -> None:
    with ReplicaProcess(tmp_path, "told", tracking_uri=mlflow_server) as fresh:
        assert fresh.http.get("/readyz").status_code == 503
        assert fresh.http.post("/invocations", json=ROW).status_code == 503

        fresh.wait_ready()

        assert fresh.http.post("/invocations", json=ROW).json() == {"predictions": [1.0]}


def test_scoring_speaks_mlflows_protocol(replica: ReplicaProcess, versions: list[str]) -> None:
    replica.call("reload", versions[1], next_generation(replica))
    forms = [
        ROW,
        {"dataframe_records": [{"a": 1.0, "b": 2.0}]},
        {"instances": [{"a": 1.0, "b": 2.0}]},
        {"inputs": {"a": [1.0], "b": [2.0]}},
    ]
    csv = {"content-type": "text/csv"}

    answers = [replica.http.post("/invocations", json=form) for form in forms]
    answers.append(replica.http.post("/invocations", content=b"a,b\n1,2\n", headers=csv))

    for answer in answers:
        assert answer.json() == {"predictions": [2.0]}
        assert answer.headers["x-model-name"] == "told"
        assert answer.headers["x-model-version"] == "2"


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"{", "valid JSON"),
        (b"[]", "Received a list"),
        (b"{}", "exactly one of the input fields"),
        (b'{"dataframe_split": {"columns": ["a"], "data": [[1]]}}', "missing inputs ['b']"),
        (b'{"dataframe_records": [{"a": "x", "b": 1}]}', "Failed to convert column a"),
    ],
)
def test_an_input_that_does_not_fit_is_a_400_with_the_cause(
    replica: ReplicaProcess, body: bytes, cause: str
) -> None:
    answer = replica.http.post("/invocations", content=body)

    assert answer.status_code == 400
    assert cause in answer.json()["detail"]


def test_a_content_type_that_nobody_reads_is_a_415(replica: ReplicaProcess) -> None:
    headers = {"content-type": "image/png"}

    assert replica.http.post("/invocations", content=b"x", headers=headers).status_code == 415


def test_only_the_shared_secret_moves_a_replica(
    replica: ReplicaProcess, versions: list[str]
) -> None:
    before = replica.served()
    generation = next_generation(replica)

    assert replica.call("reload", versions[0], generation, secret="guessed").status_code == 401
    assert replica.http.post("/reload", json={"model": "told"}).status_code == 401
    assert replica.served() == before


def test_an_older_generation_is_refused(replica: ReplicaProcess, versions: list[str]) -> None:
    generation = next_generation(replica)
    assert replica.call("reload", versions[2], generation).status_code == 200

    answer = replica.call("reload", versions[0], generation - 1)

    assert answer.status_code == 409
    assert answer.json()["version"] == versions[2]
    assert answer.json()["generation"] == generation


def test_the_fleet_client_and_the_replica_understand_each_other(
    replica: ReplicaProcess, versions: list[str], tmp_path: Path, mlflow_server: str
) -> None:
    broken = register_broken(mlflow_server, "told", tmp_path)
    told = Replica("one", replica.url, ModelRef("told"))
    fleet = HttpFleet(lambda _: [told], SECRET.encode())
    generation = next_generation(replica)
    served = replica.served()["version"]

    prepared = fleet.prepare([told], versions[0], generation, timeout_seconds=30)[0]
    refused = fleet.prepare([told], broken, generation, timeout_seconds=30)[0]
    reloaded = fleet.reload([told], versions[0], generation, timeout_seconds=30)[0]
    late = fleet.reload([told], versions[1], generation - 1, timeout_seconds=30)[0]
    fleet.close()

    assert (prepared.ok, prepared.version) == (True, served)
    assert (refused.ok, refused.refused) == (False, True)
    assert "does not load" in str(refused.error)
    assert (reloaded.ok, reloaded.version, reloaded.generation) == (True, versions[0], generation)
    assert (late.ok, late.refused, late.version) == (False, False, versions[0])


def test_with_the_registry_away_a_restart_serves_the_last_known_good(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    mlflow = MlflowServer(tmp_path / "mlflow").start()
    try:
        for _ in range(2):
            register_telling_version(mlflow.url, "kept")
        client_of(mlflow.url).set_registered_model_alias("kept", "champion", "1")
        home = tmp_path / "replica"
        with ReplicaProcess(home, "kept", tracking_uri=mlflow.url) as replica:
            replica.wait_ready()
            assert replica.call("reload", "2", 1).status_code == 200
            noted = next(home.glob("data/replica-cache/*/last-known-good.json"))
            eventually(lambda: json.loads(noted.read_text())["version"] == "2")
        mlflow.kill()

        with ReplicaProcess(home, "kept", tracking_uri=mlflow.url) as replica:
            replica.wait_ready()
            assert replica.http.post("/invocations", json=ROW).json() == {"predictions": [2.0]}
            back = replica.call("reload", "1", 2)
            assert back.status_code == 200  # its files are here, too
            never_seen = replica.call("prepare", "9", 3)
            assert never_seen.status_code == 503
    finally:
        mlflow.kill()


def test_a_replica_registers_follows_and_says_goodbye(
    mlflow_server: str, versions: list[str], tmp_path: Path
) -> None:
    desired: dict[str, object] = {"model": "told", "version": "2", "generation": 8}

    def answer(_: CapturedRequest) -> Answer:
        return Answer(body=json.dumps({"desired": desired}).encode())

    with HttpCapture().running() as receiver:
        receiver.answer_with = answer
        with ReplicaProcess(
            tmp_path, "told", tracking_uri=mlflow_server, STEWARD_URL=receiver.url
        ) as replica:
            eventually(lambda: replica.served()["generation"] == 8, START_SECONDS)
            assert replica.served()["version"] == "2"
            desired.update(version="3", generation=9)
            eventually(lambda: replica.served()["version"] == "3", 60)
            assert replica.child
            replica.child.send(signal.SIGTERM)
            eventually(lambda: replica.child and not replica.child.is_alive())
        beats = [json.loads(request.body) for request in receiver.requests]

    assert all("webhook-signature" in request.headers for request in receiver.requests)
    assert beats[0]["url"] == replica.url
    assert beats[0]["generation"] == 0
    assert beats[-1]["state"] == "stopping"
    assert (beats[-1]["version"], beats[-1]["generation"]) == ("3", 9)
    assert len({beat["boot_id"] for beat in beats}) == 1


def test_a_taken_port_is_said_at_once(replica: ReplicaProcess, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{replica.port}"):
        run(
            Settings(_env_file=None, MLFLOW_TRACKING_URI="http://127.0.0.1:1", data_dir=tmp_path),
            model="told",
            port=replica.port,
        )
