"""`steward connect` against real MLflow servers, and answers of those we cannot start."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from steward.cli.connect import connect as connect_command
from steward.clients.mlflow_registry import configure_environment
from steward.clients.mlflow_webhooks import EVENTS, ConnectResult, WebhookAdmin, webhook_name
from steward.errors import DeliveryRejected, TransientError
from steward.signing import verify
from tests.models import client_of
from tests.servers import Answer, CapturedRequest, HttpCapture, MlflowServer, eventually, free_port

SECRET = "correct-horse-battery-staple"
ACCEPTED = Answer(202, b'{"event_id": null, "duplicate": false}')


class Receiver:
    """A receiver that checks MLflow's signature as the real one does."""

    def __init__(self, capture: HttpCapture) -> None:
        self.secret = SecretStr(SECRET)
        self.capture = capture
        self.url = f"{capture.url}/webhooks/mlflow"
        capture.answer_with = self.answer

    def answer(self, request: CapturedRequest) -> Answer:
        headers = request.headers
        try:
            verify(
                [self.secret.get_secret_value().encode()],
                message_id=headers["x-mlflow-delivery-id"],
                timestamp=headers["x-mlflow-timestamp"],
                signature=headers["x-mlflow-signature"],
                body=request.body,
            )
        except DeliveryRejected as error:
            return Answer(error.status)
        return ACCEPTED


@pytest.fixture(autouse=True)
def _environment() -> None:
    configure_environment()


@pytest.fixture
def receiver(http_capture: HttpCapture) -> Receiver:
    return Receiver(http_capture)


@pytest.fixture(scope="module")
def _own_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of this file: elsewhere other tests may have their webhooks."""
    server = MlflowServer(tmp_path_factory.mktemp("connect"))
    try:
        yield server.start().url
    finally:
        server.stop()


@pytest.fixture
def mlflow(_own_mlflow: str) -> Iterator[str]:
    """An MLflow server without any webhook."""
    yield _own_mlflow
    client = client_of(_own_mlflow)
    for webhook in client.list_webhooks():
        client.delete_webhook(webhook.webhook_id)


def connect(mlflow: str, url: str, installation: str = "0a1b", **wishes: Any) -> ConnectResult:
    wishes = {"secret": SECRET, **wishes}
    return WebhookAdmin(mlflow).connect(installation_id=installation, url=url, **wishes)


def webhooks(mlflow: str) -> list[tuple[str, str]]:
    return sorted((hook.name, hook.url) for hook in client_of(mlflow).list_webhooks())


# --- what it does -------------------------------------------------------------------------------


def test_a_webhook_is_created_and_delivers_signed_tests(mlflow: str, receiver: Receiver):
    result = connect(mlflow, receiver.url)

    assert (result.ok, result.action, result.problems) == (True, "created", ())
    (hook,) = client_of(mlflow).list_webhooks()
    assert (hook.name, hook.url, str(hook.status)) == ("steward-0a1b", receiver.url, "ACTIVE")
    assert len(receiver.capture.requests) == 1
    assert any("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY" in advice for advice in result.advice)


def test_it_subscribes_to_all_that_mlflow_sends_about_models():
    from mlflow.entities.webhook import VALID_ENTITY_ACTIONS

    sent = {
        (entity.name, action.name)
        for entity, actions in VALID_ENTITY_ACTIONS.items()
        for action in actions
        if "MODEL" in entity.name
    }

    assert set(EVENTS) == sent


def test_a_second_run_finds_it_right(mlflow: str, receiver: Receiver):
    connect(mlflow, receiver.url)

    again = connect(mlflow, receiver.url)

    assert (again.ok, again.action, again.changes) == (True, "unchanged", ())
    assert len(webhooks(mlflow)) == 1


def test_drift_is_repaired(mlflow: str, receiver: Receiver):
    connect(mlflow, receiver.url)
    client = client_of(mlflow)
    (hook,) = client.list_webhooks()
    client.update_webhook(
        hook.webhook_id,
        url="http://127.0.0.1:1/x",
        events=["model_version.created"],
        status="DISABLED",
    )

    result = connect(mlflow, receiver.url)

    assert (result.ok, result.action) == (True, "repaired")
    assert result.changes == (
        "its address was http://127.0.0.1:1/x",
        "its events were not those of models",
        "it was disabled",
    )
    (hook,) = client.list_webhooks()
    assert (hook.url, len(hook.events), str(hook.status)) == (receiver.url, 6, "ACTIVE")


def test_a_second_webhook_of_our_name_is_removed(mlflow: str, receiver: Receiver):
    connect(mlflow, receiver.url)
    client_of(mlflow).create_webhook(
        webhook_name("0a1b"), receiver.url, ["model_version.created"], secret=SECRET
    )

    result = connect(mlflow, receiver.url)

    assert (result.ok, result.action) == (True, "repaired")
    assert webhooks(mlflow) == [("steward-0a1b", receiver.url)]


def test_a_secret_that_the_receiver_refuses_is_written_anew(mlflow: str, receiver: Receiver):
    connect(mlflow, receiver.url, secret="an older secret")
    assert connect(mlflow, receiver.url, secret="an older secret").ok is False

    result = connect(mlflow, receiver.url)

    assert (result.ok, result.action) == (True, "repaired")
    assert "its secret was not the receiver's and is written anew" in result.changes


def test_rotate_writes_the_first_secret(mlflow: str, receiver: Receiver):
    connect(mlflow, receiver.url)
    receiver.secret = SecretStr("the next secret")

    result = connect(mlflow, receiver.url, secret="the next secret", rotate=True)

    assert (result.ok, result.changes) == (True, ("its secret is written anew",))
    assert len(receiver.capture.requests) == 2


def test_another_installations_webhook_is_left_alone(mlflow: str, receiver: Receiver):
    connect(mlflow, receiver.url, "other")

    result = connect(mlflow, receiver.url, "ours")

    assert (result.ok, result.action) == (False, "unchanged")
    assert "steward-other" in result.problems[0]
    assert "--take-over" in result.problems[0]
    assert webhooks(mlflow) == [("steward-other", receiver.url)]


def test_take_over_replaces_another_installations_webhook(mlflow: str, receiver: Receiver):
    connect(mlflow, receiver.url, "other")

    result = connect(mlflow, receiver.url, "ours", take_over=True)

    assert (result.ok, result.action) == (True, "created")
    assert result.changes == (f"steward-other ({receiver.url}) is deleted",)
    assert webhooks(mlflow) == [("steward-ours", receiver.url)]


def test_webhooks_of_others_than_steward_are_never_touched(mlflow: str, receiver: Receiver):
    client_of(mlflow).create_webhook("ci", "http://127.0.0.1:1/ci", ["model_version.created"])

    connect(mlflow, receiver.url, take_over=True)

    assert ("ci", "http://127.0.0.1:1/ci") in webhooks(mlflow)


def test_a_dry_run_changes_nothing(mlflow: str, receiver: Receiver):
    result = connect(mlflow, receiver.url, dry_run=True)

    assert (result.ok, result.action) == (True, "created")
    assert webhooks(mlflow) == []
    assert receiver.capture.requests == []


# --- what it finds wrong ------------------------------------------------------------------------


def problem(result: ConnectResult) -> str:
    assert not result.ok
    (sentence,) = result.problems
    return sentence


def test_a_receiver_with_another_secret_is_named_as_the_cause(mlflow: str, receiver: Receiver):
    receiver.secret = SecretStr("quite another")

    assert "STEWARD_WEBHOOK_SECRETS" in problem(connect(mlflow, receiver.url))


def test_a_receiver_that_is_not_running_is_named(mlflow: str):
    told = problem(connect(mlflow, f"http://127.0.0.1:{free_port()}/webhooks/mlflow"))

    assert "Nothing listens there" in told
    assert "MLflow's own machine" in told


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(404, b"no {such} page"), "/webhooks/mlflow"),
        (Answer(200, b"<html>sign in</html>"), "what answers there is not it"),
        (Answer(422, b"bad"), "what answers there is not it"),
    ],
)
def test_another_server_at_the_address_is_no_success(
    mlflow: str, receiver: Receiver, answer: Answer, expected: str
):
    receiver.capture.answer_with = lambda _: answer

    assert expected in problem(connect(mlflow, receiver.url))


def test_what_cannot_work_is_said_before_mlflow_is_asked():
    result = connect("sqlite:///mlflow.db", "http://0.0.0.0:8800/webhooks/mlflow", secret=None)

    told = " ".join(result.problems)
    assert (result.ok, len(result.problems)) == (False, 3)
    for name in ("MLFLOW_TRACKING_URI", "STEWARD_WEBHOOK_SECRETS", "STEWARD_WEBHOOK_URL"):
        assert name in told


def test_mlflow_away_is_not_a_verdict(receiver: Receiver):
    with pytest.raises(TransientError):
        connect(f"http://127.0.0.1:{free_port()}", receiver.url)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}'), "administrator"),
        (Answer(401, b"You are not authenticated."), "administrator"),
        (Answer(404, b"<h1>Not Found</h1>"), "MLflow 3.3"),
        (Answer(405, b"<h1>Method Not Allowed</h1>"), "MLflow 3.3"),
        (Answer(500, b"<h1>Internal Server Error</h1>"), "directory of files"),
        (Answer(500, b'{"error_code": "INTERNAL_ERROR", "message": ""}'), "ENCRYPTION_KEY"),
        (Answer(200, b"<html>sign in</html>"), "does not answer as MLflow does"),
    ],
)
def test_what_an_mlflow_refuses_becomes_advice(
    http_capture: HttpCapture, answer: Answer, expected: str
):
    http_capture.default = answer

    assert expected in problem(connect(http_capture.url, "http://127.0.0.1:1/webhooks/mlflow"))


def test_a_strict_mlflow_is_told_which_setting_to_change(
    tmp_path_factory: pytest.TempPathFactory,
):
    server = MlflowServer(
        tmp_path_factory.mktemp("strict"),
        MLFLOW_WEBHOOK_ALLOWED_SCHEMES="https",
        MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="false",
    ).start()
    try:
        http = problem(connect(server.url, "http://127.0.0.1:1/webhooks/mlflow"))
        private = problem(connect(server.url, "https://127.0.0.1:1/webhooks/mlflow"))
        unknown = problem(connect(server.url, "https://nowhere.invalid/webhooks/mlflow"))
    finally:
        server.stop()

    assert "MLFLOW_WEBHOOK_ALLOWED_SCHEMES" in http
    assert "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS" in private
    assert "cannot resolve" in unknown


def test_workers_with_keys_of_their_own_are_found_out(
    tmp_path_factory: pytest.TempPathFactory, receiver: Receiver
):
    server = MlflowServer(tmp_path_factory.mktemp("keyless"))
    del server.env["MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"]
    server.arguments = ("--workers", "2")
    server.start()
    try:
        # The second worker may still be starting; the first alone has no problem.
        (told,) = eventually(lambda: connect(server.url, receiver.url).problems, 60)
    finally:
        server.stop()

    assert "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY" in told


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def installation(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path_factory.mktemp("installation"))
    monkeypatch.setenv("STEWARD_WEBHOOK_SECRETS", f"{SECRET},an older one")
    return monkeypatch


def steward(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(connect_command)
    return CliRunner().invoke(app, arguments)


def test_the_command_connects_this_installation(
    installation: pytest.MonkeyPatch, mlflow: str, receiver: Receiver
):
    installation.setenv("MLFLOW_TRACKING_URI", mlflow)
    installation.setenv("STEWARD_WEBHOOK_URL", receiver.url)

    first = steward()
    second = steward("--json")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "Created; the test delivery arrived." in first.stdout
    assert json.loads(second.stdout)["action"] == "unchanged"


def test_the_command_fails_with_the_reason(
    installation: pytest.MonkeyPatch, mlflow: str, receiver: Receiver
):
    installation.setenv("MLFLOW_TRACKING_URI", mlflow)
    receiver.secret = SecretStr(uuid4().hex)

    answer = steward("--url", receiver.url)

    assert answer.exit_code == 1
    assert "PROBLEM: " in answer.stdout


def test_an_mlflow_that_is_away_is_left_to_the_entry_point(
    installation: pytest.MonkeyPatch, receiver: Receiver
):
    installation.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")

    answer = steward("--url", receiver.url)

    assert isinstance(answer.exception, TransientError)
