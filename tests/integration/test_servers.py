"""The servers of the tests work themselves."""

import smtplib

import httpx

from tests.models import client_of, register_version
from tests.servers import Answer, HttpCapture, SmtpCapture, eventually


def test_mlflow_registers_a_version_with_a_metric(mlflow_server: str):
    version = register_version(mlflow_server, "servers-plain", auc=0.91, tags={"team": "risk"})

    client = client_of(mlflow_server)
    found = client.get_model_version("servers-plain", version)
    assert found.tags == {"team": "risk"}
    assert client.get_run(found.run_id).data.metrics == {"test_auc": 0.91}


def test_mlflow_registers_a_model_that_loads(mlflow_server: str):
    version = register_version(mlflow_server, "servers-real", auc=0.91, real_model=True)

    found = client_of(mlflow_server).get_model_version("servers-real", version)
    assert found.source.startswith("models:/m-")


def test_valkey_answers(valkey_server: str):
    from redis import Redis

    with Redis.from_url(valkey_server) as client:
        assert client.ping()


def test_smtp_keeps_mails(smtp_server: SmtpCapture):
    with smtplib.SMTP("127.0.0.1", smtp_server.port, timeout=5) as client:
        client.sendmail("a@example.com", ["b@example.com"], "Subject: hello\n\nthere")

    (mail,) = smtp_server.messages
    assert (mail.message["subject"], mail.recipients) == ("hello", ("b@example.com",))


def test_http_capture_keeps_requests_and_answers_as_told(http_capture: HttpCapture):
    http_capture.answers = [Answer(503, headers={"retry-after": "1"})]

    first = httpx.post(f"{http_capture.url}/hook?x=1", content=b"one")
    second = httpx.post(f"{http_capture.url}/hook", content=b"two")

    assert (first.status_code, second.status_code) == (503, 200)
    assert [request.body for request in http_capture.requests] == [b"one", b"two"]
    eventually(lambda: http_capture.requests[0].path == "/hook?x=1")
