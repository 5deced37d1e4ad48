"""A replica's HTTP surface, with a loader of its own: what is answered to whom."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from serving.app import create_app
from serving.predict import Predictor
from serving.slot import Answer, ScoringError, Slot
from steward.errors import TransientError
from steward.settings import Settings
from steward.signing import sign
from tests.servers import eventually
from tests.unit.serving_fakes import AppClient, FakeLoader, FakeReceiver

HERE = ("127.0.0.1", 4711)
ELSEWHERE = ("203.0.113.7", 4711)


def client_of(
    tmp_path: Path,
    loader: FakeLoader,
    *,
    secrets: str = "",
    caller: tuple[str, int] = HERE,
) -> AppClient:
    app = create_app(
        Settings(_env_file=None, data_dir=tmp_path, replica_secrets=secrets),
        model="churn",
        replica_id="churn-here-1",
        url="http://here:1",
        loader=loader,
        receiver=FakeReceiver().transport(),
    )
    return AppClient(app, caller=caller)


@pytest.fixture
def loader() -> FakeLoader:
    return FakeLoader()


@pytest.fixture
def client(tmp_path: Path, loader: FakeLoader) -> Iterator[AppClient]:
    """A replica that serves version 1 as of generation 1, and trusts this machine."""
    with client_of(tmp_path, loader) as client:
        assert tell(client, "reload", "1", 1).status_code == 200
        yield client


def order(version: str, generation: int, model: str = "churn") -> dict[str, object]:
    return {"model": model, "version": version, "generation": generation}


def tell(client: AppClient, what: str, version: str, generation: int) -> httpx.Response:
    return client.post(f"/{what}", json=order(version, generation))


def test_an_empty_replica_is_alive_but_not_ready(tmp_path: Path, loader: FakeLoader) -> None:
    with client_of(tmp_path, loader) as client:
        for path in ("/healthz", "/health", "/ping", "/v2/health/live"):
            assert client.get(path).status_code == 200
        for path in ("/readyz", "/v2/health/ready"):
            assert client.get(path).status_code == 503
        answer = client.post("/invocations", json={})

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-model-name"] == "churn"


def test_an_answer_says_which_version_gave_it(client: AppClient) -> None:
    answer = client.post("/invocations", json={}, headers={"X-Request-Id": "order 66"})

    assert answer.text == "1"
    assert answer.headers["x-model-name"] == "churn"
    assert answer.headers["x-model-version"] == "1"
    assert answer.headers["x-model-variant"] == "champion"
    assert answer.headers["x-request-id"] == "order 66"


@pytest.mark.parametrize("given", ["", "x" * 129, "tab\tinside"])
def test_a_request_without_a_usable_id_gets_one(client: AppClient, given: str) -> None:
    answer = client.post("/invocations", json={}, headers={"X-Request-Id": given})

    assert len(answer.headers["x-request-id"]) == 36


def test_what_is_served_is_told(client: AppClient) -> None:
    tell(client, "reload", "2", 2)

    served = client.get("/model").json()

    assert client.get("/readyz").json() == {"ready": True, "version": "2"}
    assert served["version"] == "2"
    assert served["variants"] == {"champion": "2"}
    assert served["generation"] == 2
    assert served["previous"] == "1"
    assert served["since"]
    assert served["last_error"] is None


def test_a_reload_is_answered_with_what_is_served_now_and_was_before(client: AppClient) -> None:
    answer = tell(client, "reload", "2", 2)

    assert answer.status_code == 200
    assert answer.json() == {**order("2", 2), "previous": "1"}


def test_an_older_reload_is_refused_with_what_is_served(client: AppClient) -> None:
    tell(client, "reload", "5", 5)

    answer = tell(client, "reload", "4", 4)

    assert answer.status_code == 409
    assert answer.json() | order("5", 5) == answer.json()
    assert answer.headers["content-type"] == "application/problem+json"


def test_preparing_changes_nothing_that_is_served(client: AppClient) -> None:
    answer = tell(client, "prepare", "2", 2)

    assert answer.status_code == 200
    assert answer.json() | order("2", 2) == answer.json()
    assert answer.json()["seconds"] >= 0
    assert answer.json()["serves"] == order("1", 1)
    assert client.post("/invocations", json={}).headers["x-model-version"] == "1"


@pytest.mark.parametrize("what", ["prepare", "reload"])
def test_a_version_that_does_not_load_is_refused_with_its_error(
    client: AppClient, loader: FakeLoader, what: str
) -> None:
    loader.broken.add("2")

    answer = tell(client, what, "2", 2)

    assert answer.status_code == 422
    assert answer.json()["reason"] == "does_not_load"
    assert "version 2 does not load" in answer.json()["detail"]
    assert answer.json()["version"] == "1"
    assert "does not load" in client.get("/model").json()["last_error"]
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("what", ["prepare", "reload"])
def test_a_version_that_cannot_be_fetched_now_is_no_refusal(
    client: AppClient, loader: FakeLoader, what: str
) -> None:
    loader.away.add("2")

    assert tell(client, what, "2", 2).status_code == 503


@pytest.mark.parametrize("what", ["prepare", "reload"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"model": "churn"}', 400),
        (json.dumps(order("../../etc", 2)).encode(), 400),
        (json.dumps(order("2", -1)).encode(), 400),
        (json.dumps(order("2", 2, model="fraud")).encode(), 404),
        (b" " * 70_000, 413),
    ],
)
def test_a_call_of_the_wrong_form_is_refused(
    client: AppClient, what: str, body: bytes, status: int
) -> None:
    answer = client.post(f"/{what}", content=body)

    assert answer.status_code == status
    assert answer.json()["detail"]


@pytest.mark.parametrize("what", ["prepare", "reload"])
def test_with_a_secret_only_its_signature_is_accepted(
    tmp_path: Path, loader: FakeLoader, what: str
) -> None:
    body = json.dumps(order("1", 1)).encode()

    def signed_by(secret: str) -> dict[str, str]:
        return sign(secret.encode(), method="POST", path=f"/{what}", body=body)

    with client_of(tmp_path, loader, secrets="new,old") as client:
        assert client.post(f"/{what}", content=body).status_code == 401
        for secret, status in (("guessed", 401), ("new", 200), ("old", 200)):
            answer = client.post(f"/{what}", content=body, headers=signed_by(secret))
            assert answer.status_code == status
        other = json.dumps(order("9", 9)).encode()
        forged = client.post(f"/{what}", content=other, headers=signed_by("new"))
    assert forged.status_code == 401


def test_a_captured_prepare_cannot_be_sent_as_a_reload(tmp_path: Path, loader: FakeLoader) -> None:
    body = json.dumps(order("1", 1)).encode()
    captured = sign(b"shared", method="POST", path="/prepare", body=body)

    with client_of(tmp_path, loader, secrets="shared") as client:
        answer = client.post("/reload", content=body, headers=captured)

        assert answer.status_code == 401
        assert client.get("/model").json()["version"] is None


@pytest.mark.parametrize("what", ["prepare", "reload"])
def test_without_a_secret_only_programs_on_this_machine_are_accepted(
    tmp_path: Path, loader: FakeLoader, what: str
) -> None:
    with client_of(tmp_path, loader, caller=ELSEWHERE) as client:
        assert tell(client, what, "1", 1).status_code == 403
    with client_of(tmp_path, loader) as client:
        page = {"Origin": "https://evil.example"}
        assert client.post(f"/{what}", json=order("1", 1), headers=page).status_code == 403
        assert tell(client, what, "1", 1).status_code == 200


class Scripted(FakeLoader):
    """Loads versions that answer as ``score`` says."""

    def score(self, body: bytes, content_type: str) -> Answer:
        raise NotImplementedError

    def load(self, version: str, held: Slot | None) -> Slot:
        return Slot(version, version, self.score)


def test_an_input_that_cannot_be_scored_is_answered_with_the_cause(tmp_path: Path) -> None:
    class Picky(Scripted):
        def score(self, body: bytes, content_type: str) -> Answer:
            raise ScoringError("Model is missing inputs ['b'].", status=400, code="BAD_REQUEST")

    with client_of(tmp_path, Picky()) as client:
        tell(client, "reload", "1", 1)
        answer = client.post("/invocations", json={})
        metrics = client.get("/metrics").text

    assert answer.status_code == 400
    assert answer.json()["detail"] == answer.json()["message"] == "Model is missing inputs ['b']."
    assert answer.json()["error_code"] == "BAD_REQUEST"
    assert 'model="churn",outcome="client_error",variant="champion",version="1"} 1.0' in metrics


def test_a_request_in_flight_is_answered_by_the_version_it_met(tmp_path: Path) -> None:
    class Slow(Scripted):
        begun, go_on = threading.Event(), threading.Event()

        def score(self, body: bytes, content_type: str) -> Answer:
            self.begun.set()
            assert self.go_on.wait(10)
            return Answer("slow", 200, "text/plain")

    with client_of(tmp_path, Slow()) as client, ThreadPoolExecutor(1) as pool:
        tell(client, "reload", "1", 1)
        in_flight = pool.submit(client.post, "/invocations", json={})
        assert Slow.begun.wait(10)
        for generation in range(2, 6):
            tell(client, "reload", str(generation), generation)
        Slow.go_on.set()
        answer = in_flight.result(10)

    assert answer.status_code == 200
    assert answer.headers["x-model-version"] == "1"


def test_a_full_queue_is_said_at_once(tmp_path: Path) -> None:
    go_on = threading.Event()

    class Stuck(Scripted):
        def score(self, body: bytes, content_type: str) -> Answer:
            assert go_on.wait(10)
            return Answer("late", 200, "text/plain")

    with client_of(tmp_path, Stuck()) as client, ThreadPoolExecutor(70) as pool:
        tell(client, "reload", "1", 1)
        limit = Predictor()._limit
        waiting = [pool.submit(client.post, "/invocations", json={}) for _ in range(limit)]
        depth = f"steward_replica_queue_depth {float(limit)}"
        eventually(lambda: depth in client.get("/metrics").text)

        refused = client.post("/invocations", json={})

        go_on.set()
        assert {answer.result(10).status_code for answer in waiting} == {200}
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"


def test_metrics_forget_versions_that_are_held_no_longer(client: AppClient) -> None:
    for version in ("2", "3", "4"):
        tell(client, "reload", version, int(version))
        client.post("/invocations", json={})

    metrics = client.get("/metrics").text

    assert 'version="2"' not in metrics
    assert 'outcome="ok",variant="champion",version="3"} 1.0' in metrics
    assert 'outcome="ok",variant="champion",version="4"} 1.0' in metrics
    assert 'steward_replica_generation{model="churn"} 4.0' in metrics
    assert 'steward_replica_reload_total{result="served"} 4.0' in metrics


def test_a_cache_that_cannot_be_kept_costs_no_answer(tmp_path: Path) -> None:
    class FullDisk(FakeLoader):
        def settle(self, table: object) -> None:
            raise TransientError("no space left on device")

    with client_of(tmp_path, FullDisk()) as client:
        assert tell(client, "reload", "1", 1).status_code == 200
        assert tell(client, "reload", "2", 2).status_code == 200
        assert client.post("/invocations", json={}).status_code == 200
