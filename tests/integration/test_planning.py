"""What `steward up` decides before it starts anything: addresses, and whose MLflow it is."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from steward.cli.planning import Wish, make_plan
from steward.errors import ConfigurationError
from steward.settings import Settings
from tests.servers import free_port


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def settings(tmp_path: Path, uri: str | None = None) -> Settings:
    return Settings(data_dir=tmp_path, MLFLOW_TRACKING_URI=uri, _env_file=None)


def test_the_address_it_told_people_to_export_is_its_own_mlflow(tmp_path: Path):
    port = free_port()
    _, ports = make_plan(Wish(tmp_path, mlflow_port=port), settings(tmp_path))
    ports.release()

    plan, _ = make_plan(Wish(tmp_path), settings(tmp_path, f"http://127.0.0.1:{port}"))

    assert plan.mlflow_port is not None
    assert plan.environment["STEWARD_BUILT_IN_POLICY"] == "true"


def test_another_address_is_somebody_elses_mlflow(tmp_path: Path):
    make_plan(Wish(tmp_path, mlflow_port=free_port()), settings(tmp_path))

    plan, _ = make_plan(Wish(tmp_path), settings(tmp_path, "https://mlflow.example.com"))

    assert (plan.mlflow_url, plan.mlflow_port) == ("https://mlflow.example.com", None)
    assert plan.environment["STEWARD_BUILT_IN_POLICY"] is None


def test_a_second_start_listens_where_the_first_one_did(tmp_path: Path):
    first, ports = make_plan(
        Wish(tmp_path, port=free_port(), replica_port=free_port(), serve=("fraud",)),
        settings(tmp_path),
    )
    ports.release()

    again, _ = make_plan(Wish(tmp_path, serve=("fraud",)), settings(tmp_path))

    assert again.receiver_url == first.receiver_url
    assert again.replicas == first.replicas
    assert again.mlflow_url == first.mlflow_url


def test_at_a_first_start_an_address_that_does_not_answer_is_not_ours(tmp_path: Path):
    plan, _ = make_plan(Wish(tmp_path), settings(tmp_path, "http://127.0.0.1:5000"))

    assert plan.mlflow_port is None


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path, taken: int):
    with pytest.raises(ConfigurationError, match=f"Port {taken} for the receiver is taken"):
        make_plan(Wish(tmp_path, port=taken), settings(tmp_path))


def test_every_replica_has_a_port_of_its_own(tmp_path: Path):
    plan, _ = make_plan(Wish(tmp_path, serve=("fraud", "churn"), replicas=2), settings(tmp_path))

    assert [model for model, _ in plan.replicas] == ["fraud", "fraud", "churn", "churn"]
    assert len({port for _, port in plan.replicas}) == 4
