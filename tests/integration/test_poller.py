"""The polling shim on a real MLflow: no webhook, only what the registry answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from steward.clients.mlflow_registry import MlflowRegistry
from steward.events import Event, ModelRef
from steward.journal.looking import look
from steward.journal.opening import open_journal
from steward.journal.routing import Routing
from steward.journal.store import Journal
from steward.settings import Settings
from tests.models import client_of, register_version
from tests.unit.journal_support import events_in
from webhook_receiver.poller import Poller

CHAMPION = "champion"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = open_journal(Settings(data_dir=tmp_path, _env_file=None), Routing({}))
    yield journal
    journal.close()


@pytest.fixture
def poller(journal: Journal, mlflow_server: str) -> Poller:
    return Poller(
        journal,
        MlflowRegistry(mlflow_server),
        hint=lambda _: None,
        holder="poller@here",
        settings=Settings(_env_file=None),
        smallest_slice=10_000,  # every model of the shared server, also those of other tests
    )


@pytest.fixture
def model() -> str:
    return f"polled-{uuid4().hex[:8]}"


@pytest.fixture
def client(mlflow_server: str) -> Any:
    return client_of(mlflow_server)


def polled(poller: Poller, journal: Journal, *models: str) -> list[tuple[str, Any, Any]]:
    """Poll, and say in few words what is new of these models."""
    already = len(of(journal, *models))
    assert poller.poll_once().outcome == "completed"
    new = of(journal, *models)[already:]
    return [(event.type, event.before, event.after) for event in new]


def of(journal: Journal, *models: str) -> list[Event]:
    return [event for event in events_in(journal) if event.model and event.model.name in models]


@pytest.mark.filterwarnings("ignore:.*:FutureWarning")  # stages, which MLflow calls deprecated
def test_each_change_that_mlflow_sends_nothing_of(
    poller: Poller, journal: Journal, client: Any, mlflow_server: str, model: str
) -> None:
    poller.poll_once()
    register_version(mlflow_server, model, tags={"team": "risk"})
    register_version(mlflow_server, model)
    assert polled(poller, journal, model) == [
        ("registered_model.created", None, True),
        ("model_version.created", None, True),
        ("model_version.created", None, True),
    ]

    client.transition_model_version_stage(model, "1", "Production")
    client.set_registered_model_alias(model, CHAMPION, "1")
    client.set_registered_model_tag(model, "owner", "anna")
    client.update_model_version(model, "2", "the second")
    assert sorted(polled(poller, journal, model)) == [
        ("model_version.transitioned_stage", "None", "Production"),
        ("model_version.updated", None, "the second"),
        ("model_version_alias.created", None, "1"),
        ("registered_model_tag.set", None, "anna"),
    ]

    client.delete_model_version(model, "1")
    client.delete_model_version_tag(model, "2", "absent")
    assert sorted(polled(poller, journal, model), key=str) == [
        ("model_version.deleted", True, None),
        ("model_version_alias.deleted", "1", None),
    ]

    renamed = f"{model}-renamed"
    client.rename_registered_model(model, renamed)
    assert polled(poller, journal, model, renamed) == [("registered_model.renamed", model, renamed)]

    client.delete_registered_model(renamed)
    assert polled(poller, journal, renamed) == [("registered_model.deleted", True, None)]
    assert polled(poller, journal, model, renamed) == []


def test_a_model_that_was_deleted_and_created_again_starts_anew(
    poller: Poller, journal: Journal, client: Any, mlflow_server: str, model: str
) -> None:
    register_version(mlflow_server, model)
    poller.poll_once()
    client.delete_registered_model(model)
    register_version(mlflow_server, model)

    assert polled(poller, journal, model) == [
        ("registered_model.deleted", True, None),
        ("registered_model.created", None, True),
        ("model_version.created", None, True),
    ]


def test_a_registry_that_is_away_fails_the_poll_and_says_so(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    poller = Poller(
        journal,
        MlflowRegistry("http://127.0.0.1:9"),
        hint=lambda _: None,
        holder="poller@here",
        settings=Settings(_env_file=None),
    )

    result = poller.poll_once()

    assert result.outcome == "failed"
    assert "127.0.0.1:9" in str(result.problem)


def test_what_is_known_is_what_mlflow_holds(
    poller: Poller, journal: Journal, mlflow_server: str, model: str
) -> None:
    number = register_version(mlflow_server, model, tags={"a": "b"}, description="why")

    poller.poll_once()

    known = look(journal, ModelRef(model))
    assert known.value(number, "tag:a") == "b"
    assert known.value(number, "description") == "why"
    assert known.is_baselined
