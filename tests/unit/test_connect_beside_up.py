"""`steward connect` in the directory of `steward up`, and what it says when MLflow refuses."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from steward.cli.app import build
from steward.cli.connect import beside_up, webhook_url
from steward.clients.mlflow_webhook_diagnosis import refusal
from steward.errors import ConfigurationError
from steward.settings import load_settings


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "STEWARD_WEBHOOK_SECRETS", "STEWARD_WEBHOOK_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".steward"


@pytest.fixture
def up(data_dir: Path) -> Path:
    (data_dir / "secrets").mkdir(parents=True)
    (data_dir / "secrets" / "webhook-secret").write_text("kept\n")
    running = {"receiver": "http://127.0.0.1:8811", "mlflow": "http://127.0.0.1:5011"}
    (data_dir / "up.json").write_text(json.dumps(running))
    return data_dir


@pytest.mark.usefixtures("up")
def test_what_up_chose_is_taken():
    settings = beside_up(load_settings())

    assert settings.mlflow_tracking_uri == "http://127.0.0.1:5011"
    assert webhook_url(settings) == "http://127.0.0.1:8811/webhooks/mlflow"
    assert settings.secret_bytes("webhook") == (b"kept",)


@pytest.mark.usefixtures("up")
def test_what_is_set_comes_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.com")
    monkeypatch.setenv("STEWARD_WEBHOOK_SECRETS", "mine")

    settings = beside_up(load_settings(webhook_url="https://steward.example.com/webhooks/mlflow"))

    assert settings.mlflow_tracking_uri == "https://mlflow.example.com"
    assert webhook_url(settings) == "https://steward.example.com/webhooks/mlflow"
    assert settings.secret_bytes("webhook") == (b"mine",)


@pytest.mark.usefixtures("data_dir")
def test_nothing_is_asked_without_an_address_of_mlflow():
    ran = CliRunner().invoke(build(), ["connect"])

    assert isinstance(ran.exception, ConfigurationError)
    assert "Asking" not in ran.output


@pytest.mark.parametrize(
    "said", ["Invalid webhook URL scheme: 'http'", "resolves to a non-public IP address"]
)
def test_each_refusal_of_an_address_names_both_settings(said: str):
    sentence = refusal(400, json.dumps({"message": said}), server="MLflow")

    assert "MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https" in sentence
    assert "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true" in sentence
