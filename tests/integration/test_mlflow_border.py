"""What a caller of the MLflow client learns when MLflow is away, slow, or not MLflow."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from steward.clients.mlflow_registry import MlflowRegistry, configure_environment, rest_call
from steward.errors import NotFoundError, PermanentError, TransientError
from steward.events import ModelRef
from tests.models import register_version
from tests.servers import Answer, HttpCapture, free_port


@pytest.fixture(autouse=True)
def _our_limits() -> None:
    configure_environment()


def ask(url: str) -> None:
    MlflowRegistry(url).version(ModelRef("m"), "1")


def test_a_call_of_the_rest_api_never_meets_the_connection_of_an_earlier_one():
    """Not even where the server does not say that it closes: it may be closing just then."""
    peers = []

    class Silent(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            peers.append(self.client_address)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
            self.close_connection = False

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        for _ in range(3):
            rest_call(f"http://127.0.0.1:{server.server_address[1]}", "GET", "/", {})
        server.shutdown()

    assert len(set(peers)) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_failing_server_is_asked_again_later(http_capture: HttpCapture, status: int):
    http_capture.default = Answer(status, headers={"retry-after": "30"})

    with pytest.raises(TransientError):
        ask(http_capture.url)

    assert len(http_capture.requests) == 1  # by us, who know what it was, and not blindly


def test_a_server_that_is_away_is_asked_again_later():
    with pytest.raises(TransientError, match=r"cannot be reached: .*Connection refused"):
        ask(f"http://127.0.0.1:{free_port()}")


def test_a_slow_server_is_asked_again_later(
    http_capture: HttpCapture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    http_capture.default = Answer(after_seconds=30)

    with pytest.raises(TransientError, match=r"cannot be reached: .*timed out"):
        ask(http_capture.url)


def test_a_proxys_404_is_not_taken_for_a_deletion(http_capture: HttpCapture):
    http_capture.default = Answer(404, b"<html>no such page</html>")

    with pytest.raises(PermanentError) as caught:
        ask(http_capture.url)

    assert not isinstance(caught.value, NotFoundError)


def test_a_refusal_is_final_and_in_mlflows_words(http_capture: HttpCapture):
    http_capture.default = Answer(
        403, b'{"error_code": "PERMISSION_DENIED", "message": "Permission denied to ada"}'
    )

    with pytest.raises(PermanentError, match="Permission denied to ada"):
        ask(http_capture.url)


def test_a_password_in_the_address_is_not_repeated():
    with pytest.raises(TransientError) as caught:
        ask(f"http://ada:secret@127.0.0.1:{free_port()}")

    assert "secret" not in str(caught.value)


def test_a_workspace_travels_as_a_header(http_capture: HttpCapture):
    http_capture.default = Answer(
        200, b'{"workspaces_enabled": true, "model_version": {"name": "m", "version": "1"}}'
    )
    registry = MlflowRegistry(http_capture.url)

    registry.version(ModelRef("m", workspace="team-a"), "1")
    registry.version(ModelRef("m"), "1")

    sent = [
        request.headers.get("x-mlflow-workspace")
        for request in http_capture.requests
        if "model-versions" in request.path
    ]
    assert sent == ["team-a", None]


def test_a_workspace_is_refused_by_a_server_without_them(mlflow_server: str):
    register_version(mlflow_server, "border-workspace")

    with pytest.raises(PermanentError, match="does not support workspaces"):
        MlflowRegistry(mlflow_server).version(ModelRef("border-workspace", workspace="team-a"), "1")


def test_one_write_is_one_request(http_capture: HttpCapture):
    http_capture.default = Answer(200, b"{}")
    registry = MlflowRegistry(http_capture.url)

    registry.set_stage(ModelRef("m"), "1", "Production", archive_existing=True)
    registry.set_alias(ModelRef("m"), "champion", "1")
    registry.delete_alias(ModelRef("m"), "champion")
    registry.set_version_tag(ModelRef("m"), "1", "key", "value")

    assert len(http_capture.requests) == registry.requests.total() == 4
