"""Where the notifications of `steward demo` go: an SMTP server and a stand-in for Slack, local."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from steward.cli.addresses import LOOPBACK, Ports
from steward.errors import ConfigurationError

RECIPIENT = "ml-team@example.com"


class Captures:
    """Keeps what the channels send: ``slack`` the messages' JSON, ``mails`` the emails."""

    def __init__(self) -> None:
        self.slack: list[dict[str, Any]] = []
        self.mails: list[EmailMessage] = []
        self.environment: dict[str, str] = {}

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        """Keep one email."""
        message = message_from_bytes(envelope.content, policy=policy.default)
        if isinstance(message, EmailMessage):
            self.mails.append(message)
        return "250 kept"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve both; ``environment`` is then what configures Steward's channels."""
        smtp_port = Ports().any()
        smtp = _smtp_server(self, smtp_port)
        http = ThreadingHTTPServer((LOOPBACK, 0), _slack_handler(self.slack))
        http.daemon_threads = True
        threading.Thread(target=http.serve_forever, args=(0.1,), daemon=True).start()
        smtp.start()
        self.environment = {
            "STEWARD_SLACK_WEBHOOK_URL": f"http://{LOOPBACK}:{http.server_address[1]}/services/demo",
            "STEWARD_SMTP_URL": f"smtp://{LOOPBACK}:{smtp_port}",
            "STEWARD_EMAIL_FROM": "steward@example.com",
            "STEWARD_EMAIL_TO": RECIPIENT,
        }
        try:
            yield
        finally:
            smtp.stop()
            http.shutdown()
            http.server_close()


def slack_text(message: dict[str, Any]) -> str:
    """A Slack message as plain lines: its text, and that of its blocks."""
    found = [str(message.get("text", ""))]
    for block in message.get("blocks", []):
        parts = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
        found += [str(part["text"]) for part in parts if part and isinstance(part.get("text"), str)]
    return "\n".join(dict.fromkeys(line for line in found if line))  # the text repeats the header


def _smtp_server(captures: Captures, port: int) -> Any:
    try:
        from aiosmtpd.controller import Controller
    except ImportError as error:
        raise ConfigurationError(
            "The demo needs aiosmtpd, for the mails it sends itself. Install it: "
            "pip install -e '.[demo]'"
        ) from error
    return Controller(captures, hostname=LOOPBACK, port=port)


def _slack_handler(kept: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Answer as Slack's incoming webhooks do."""
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            kept.append(json.loads(body))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
