"""Every channel against a real server: what arrives, and what each failure is taken for."""

import datetime as dt
import gc
import json
import logging
import smtplib
import socket
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult
from apprise import Apprise
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr
from typer.testing import CliRunner

from handlers.rendering import render
from handlers.telling import Message
from steward.cli.notify import app
from steward.clients.apprise_channel import AppriseChannel
from steward.clients.channels import channel_for
from steward.clients.email_smtp import EmailChannel
from steward.clients.slack import SlackChannel
from steward.errors import ConfigurationError, PermanentError, TransientError
from steward.policy import ChannelSpec
from steward.ports import Channel, Notification
from steward.settings import Settings
from tests.servers import Answer, HttpCapture, SmtpCapture, free_port, serving_smtp

SECRET = "T0K3N-very-secret"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="session", autouse=True)
def _apprise_plugins() -> None:
    """Apprise imports its plugins at the first use, and some of those what Python deprecates."""
    with warnings.catch_warnings(action="ignore"):
        Apprise().add("json://127.0.0.1")


@pytest.fixture
def notification() -> Notification:
    message = Message(
        title="fraud <7> promoted",
        lead="Version 7 is now in Production: äöü.",
        facts=(("Version 7", "auc 0.9"),),
        links=(("Explain", "https://steward.example.com/x"),),
        footer=("event e-1",),
    )
    return render(message, key="notify/0198/1")


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# --- Slack ------------------------------------------------------------------------------------


@pytest.fixture
def slack(http_capture: HttpCapture) -> SlackChannel:
    return SlackChannel(f"{http_capture.url}/services/{SECRET}", timeout_seconds=5)


def test_slack_gets_blocks_and_a_fallback_text(
    slack: SlackChannel, http_capture: HttpCapture, notification: Notification
) -> None:
    answer = slack.send(notification)

    (request,) = http_capture.requests
    body = json.loads(request.body)
    assert answer == "ok"
    assert request.path == f"/services/{SECRET}"
    assert body["text"] == "fraud &lt;7&gt; promoted"
    assert [block["type"] for block in body["blocks"]] == [
        "header",
        "section",
        "section",
        "actions",
        "context",
    ]


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("7", 7.0), ("86400", 600.0), ("-1", 0.0), ("soon", None), (None, None)],
)
def test_slack_429_is_tried_again_when_slack_says(
    slack: SlackChannel,
    http_capture: HttpCapture,
    notification: Notification,
    retry_after: str | None,
    seconds: float | None,
) -> None:
    headers = {"Retry-After": retry_after} if retry_after else {}
    http_capture.default = Answer(429, b"rate_limited", headers)

    with pytest.raises(TransientError) as caught:
        slack.send(notification)

    assert caught.value.retry_after_seconds == seconds
    assert caught.value.is_certain
    assert len(http_capture.requests) == 1


def test_slack_500_is_tried_again_later_and_not_at_once(
    slack: SlackChannel, http_capture: HttpCapture, notification: Notification
) -> None:
    http_capture.default = Answer(500, b"server_error")

    with pytest.raises(TransientError, match="500 server_error") as caught:
        slack.send(notification)

    assert not caught.value.is_certain  # who knows how far it came
    assert len(http_capture.requests) == 1


def test_slack_hanging_is_tried_again(
    http_capture: HttpCapture, notification: Notification
) -> None:
    http_capture.default = Answer(after_seconds=30)

    with pytest.raises(TransientError, match=r"cannot be reached: .*timed out"):
        SlackChannel(f"{http_capture.url}/{SECRET}", timeout_seconds=1).send(notification)


def test_slack_away_is_tried_again(notification: Notification) -> None:
    channel = SlackChannel(f"http://127.0.0.1:{free_port()}/{SECRET}")

    with pytest.raises(TransientError, match=r"cannot be reached: .*refused"):
        channel.send(notification)


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (Answer(400, b"invalid_payload"), "look at the Slack template"),
        (Answer(404, b"no_service"), "make a new one in Slack"),
        (Answer(410, b"channel_is_archived"), "restore it"),
        (Answer(403, b"something_new"), "Look at the webhook in Slack"),
        (Answer(200, b'{"ok": false, "error": "invalid_blocks"}'), "look at the Slack template"),
        (Answer(200, b'{"ok":false}'), "Look at the webhook in Slack"),
        (Answer(200, b"<!doctype html><title>Sign in</title>"), "look at the webhook's URL"),
    ],
)
def test_slack_refusing_stops_and_says_what_to_do(
    slack: SlackChannel,
    http_capture: HttpCapture,
    notification: Notification,
    answer: Answer,
    advice: str,
) -> None:
    http_capture.default = answer

    with pytest.raises(PermanentError, match=advice):
        slack.send(notification)


@pytest.mark.parametrize("url", [f"hooks.slack.com/{SECRET}", f"ftp://x/{SECRET}", ""])
def test_a_slack_webhook_must_be_a_url(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SlackChannel(url)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:port/{}", "http://127.0.0.1/{}\n", "http://[/{}"]
)
def test_a_malformed_slack_url_is_never_shown(
    url: str, notification: Notification, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    with pytest.raises((PermanentError, TransientError, ConfigurationError)) as caught:
        SlackChannel(url.format(SECRET)).send(notification)

    assert SECRET not in f"{caught.value}{caplog.text}"


# --- email ------------------------------------------------------------------------------------


def email_to(url: str, *recipients: str, **options: Any) -> EmailChannel:
    options = {"sender": "Steward <steward@example.com>", "timeout_seconds": 5, **options}
    return EmailChannel(url, recipients=recipients or ("team@example.com",), **options)


def test_email_arrives_in_plain_and_html_and_says_it_is_automatic(
    smtp_server: SmtpCapture, notification: Notification
) -> None:
    answer = email_to(smtp_server.url, "team@example.com", "lead@example.com").send(notification)

    (mail,) = smtp_server.messages
    plain = mail.message.get_body(("plain",))
    html = mail.message.get_body(("html",))
    assert answer == "accepted for 2 of 2"
    assert mail.recipients == ("team@example.com", "lead@example.com")
    assert mail.message["From"] == "Steward <steward@example.com>"
    assert mail.message["Subject"] == "fraud <7> promoted"
    assert mail.message["Message-ID"] == "<notify.0198.1@example.com>"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.message["Date"]
    assert mail.message.get_content_type() == "multipart/alternative"
    assert plain
    assert "äöü" in plain.get_content()
    assert html
    assert "fraud &lt;7&gt; promoted" in html.get_content()


def test_email_without_a_sender_comes_from_steward_on_this_host(
    smtp_server: SmtpCapture, notification: Notification
) -> None:
    email_to(smtp_server.url, sender=None).send(notification)

    assert smtp_server.messages[0].sender == f"steward@{socket.gethostname()}"


def test_a_title_cannot_smuggle_headers(
    smtp_server: SmtpCapture, notification: Notification
) -> None:
    evil = Notification(
        key="k\r\nBcc: x@example.com",
        title="a\r\nBcc: victim@example.com\n\nbody\x00",
        text=notification.text,
        html=notification.html,
        slack_blocks=(),
    )

    email_to(smtp_server.url).send(evil)

    (mail,) = smtp_server.messages
    assert mail.message["Bcc"] is None
    assert mail.message["Subject"] == "a Bcc: victim@example.com body"
    assert mail.recipients == ("team@example.com",)


@pytest.mark.parametrize("address", ["a@example.com\nBcc: b@example.com", "nobody", "", "a b"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="not an email address"):
        email_to("smtp://127.0.0.1", address)


@pytest.mark.parametrize(
    ("reply", "error"),
    [("451 later", TransientError), ("554 no", PermanentError), ("552 too big", PermanentError)],
)
def test_a_mail_server_refusing_is_judged_by_its_code(
    smtp_server: SmtpCapture, notification: Notification, reply: str, error: type[Exception]
) -> None:
    smtp_server.refuse_with = reply

    with pytest.raises(error, match=reply):
        email_to(smtp_server.url).send(notification)


def test_a_mail_server_away_is_tried_again(notification: Notification) -> None:
    with pytest.raises(TransientError, match=r"cannot be reached: .*refused"):
        email_to(f"smtp://127.0.0.1:{free_port()}").send(notification)


def test_a_mail_server_hanging_is_tried_again(notification: Notification) -> None:
    with silent_server() as port, pytest.raises(TransientError, match="timed out"):
        email_to(f"smtp://127.0.0.1:{port}", timeout_seconds=0.3).send(notification)


def test_required_starttls_that_is_not_offered_stops(
    smtp_server: SmtpCapture, notification: Notification
) -> None:
    url = smtp_server.url.replace("smtp://", "smtp+starttls://")

    with pytest.raises(PermanentError, match="STARTTLS is required"):
        email_to(url).send(notification)

    assert smtp_server.messages == []


@pytest.mark.parametrize(
    "url", [f"http://u:{SECRET}@mail", f"smtp://u:{SECRET}@mail:port", f"smtp:{SECRET}", SECRET]
)
def test_a_wrong_smtp_url_is_never_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="STEWARD_SMTP_URL") as caught:
        email_to(url)

    assert SECRET not in str(caught.value)


class StrictSmtp:
    """Keeps recipients; refuses some, and every password but one."""

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.encrypted: list[bool] = []

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address.startswith("gone"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        self.accepted += envelope.rcpt_tos
        self.encrypted.append(session.ssl is not None)
        return "250 kept"

    def authenticate(self, *arguments: Any) -> AuthResult:
        login = arguments[-1]
        is_right = (login.login, login.password) == (b"us@er", SECRET.encode())
        return AuthResult(success=is_right, handled=False)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and key for localhost that signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


def test_recipients_who_are_refused_do_not_keep_it_from_the_others(
    notification: Notification,
) -> None:
    handler = StrictSmtp()

    with serving_smtp(handler) as port:
        channel = email_to(f"smtp://127.0.0.1:{port}", "gone@example.com", "team@example.com")
        answer = channel.send(notification)

    assert answer == "accepted for 1 of 2; refused: gone@example.com (550)"
    assert handler.accepted == ["team@example.com"]


def test_nobody_accepted_stops(notification: Notification) -> None:
    with (
        serving_smtp(StrictSmtp()) as port,
        pytest.raises(PermanentError, match="550 no such user"),
    ):
        email_to(f"smtp://127.0.0.1:{port}", "gone@example.com").send(notification)


def test_starttls_is_used_where_offered_whoever_signed(
    notification: Notification, server_tls: ssl.SSLContext
) -> None:
    handler = StrictSmtp()

    with serving_smtp(handler, tls_context=server_tls) as port:
        email_to(f"smtp://localhost:{port}").send(notification)

    assert handler.encrypted == [True]


@pytest.mark.parametrize("scheme", ["smtp", "smtp+starttls", "smtps"])
@pytest.mark.usefixtures("trusted")
def test_a_password_travels_encrypted(
    scheme: str, notification: Notification, server_tls: ssl.SSLContext
) -> None:
    handler = StrictSmtp()
    tls = {"implicit_tls": server_tls} if scheme == "smtps" else {"tls_context": server_tls}
    # aiosmtpd takes a connection that was TLS from the start for a plain one.
    options = {"auth_require_tls": scheme != "smtps", **tls}

    with serving_smtp(handler, authenticator=handler.authenticate, **options) as port:
        channel = email_to(f"{scheme}://us%40er:{SECRET}@localhost:{port}")
        channel.send(notification)

    assert handler.accepted == ["team@example.com"]


def test_a_password_is_not_shown_to_a_server_nobody_vouches_for(
    notification: Notification, server_tls: ssl.SSLContext
) -> None:
    handler = StrictSmtp()

    with (
        serving_smtp(handler, tls_context=server_tls, authenticator=handler.authenticate) as port,
        pytest.raises(PermanentError, match="TLS failed") as caught,
    ):
        email_to(f"smtp://us%40er:{SECRET}@localhost:{port}").send(notification)

    assert SECRET not in str(caught.value)
    assert handler.accepted == []


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_stops_and_is_not_shown(
    notification: Notification, server_tls: ssl.SSLContext
) -> None:
    handler = StrictSmtp()

    with (
        serving_smtp(handler, tls_context=server_tls, authenticator=handler.authenticate) as port,
        pytest.raises(PermanentError, match="Look at user and password") as caught,
    ):
        email_to(f"smtp://us%40er:wrong-{SECRET}@localhost:{port}").send(notification)

    assert SECRET not in str(caught.value)


def test_the_tests_own_server_leaves_nothing_of_a_client_that_stays(
    server_tls: ssl.SSLContext, certificate: Path
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))

    with serving_smtp(StrictSmtp(), implicit_tls=server_tls) as port:
        client = smtplib.SMTP_SSL("localhost", port, context=trusting)

    gc.collect()  # what was left is told here
    client.close()


# --- Apprise ----------------------------------------------------------------------------------


@pytest.fixture
def root_log() -> Iterator[list[logging.LogRecord]]:
    """What reaches the root logger, where Steward's own logs come from."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = records.append  # type: ignore[assignment, method-assign]  # the shortest handler
    logging.getLogger().addHandler(handler)
    yield records
    logging.getLogger().removeHandler(handler)


def test_apprise_sends_title_and_text(
    http_capture: HttpCapture, notification: Notification
) -> None:
    url = f"json://127.0.0.1:{http_capture.port}/{SECRET}"

    answer = AppriseChannel(url).send(notification)

    (request,) = http_capture.requests
    body = json.loads(request.body)
    assert answer == "sent"
    assert body["title"] == "fraud <7> promoted"
    assert "Version 7 is now in Production: äöü." in body["message"]
    assert body["type"] == "info"


@pytest.mark.parametrize("status", [429, 500])
def test_apprise_failing_is_tried_again_with_what_it_logged(
    http_capture: HttpCapture,
    notification: Notification,
    root_log: list[logging.LogRecord],
    status: int,
) -> None:
    http_capture.default = Answer(status, SECRET.encode())

    with pytest.raises(TransientError, match=f"error={status}") as caught:
        AppriseChannel(f"json://127.0.0.1:{http_capture.port}/{SECRET}").send(notification)

    assert SECRET not in f"{caught.value}"
    assert not [record for record in root_log if record.name == "apprise"]


@pytest.mark.parametrize("url", [f"nothing://{SECRET}", f"{SECRET}", "", f"tgram://{SECRET}"])
def test_an_apprise_url_that_cannot_be_used_stops_and_is_not_shown(
    url: str, notification: Notification, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PermanentError, match="cannot use this channel's URL") as caught:
        AppriseChannel(url).send(notification)

    assert SECRET not in f"{caught.value}{capfd.readouterr()}"


# --- from what the policy says to what is sent ------------------------------------------------


def test_references_are_filled_in_when_the_channel_is_made(
    http_capture: HttpCapture, notification: Notification, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_URL", f"{http_capture.url}/services/{SECRET}")
    spec = _spec("team", "slack", "${TEAM_URL}")

    channel: Channel = channel_for(spec, Settings())

    assert channel.send(notification) == "ok"


@pytest.mark.parametrize(
    ("spec_value", "sentence"),
    [("${NOT_SET_ANYWHERE}", "NOT_SET_ANYWHERE"), ("not-a-url", "not an http")],
)
def test_a_channel_that_cannot_be_made_is_named(spec_value: str, sentence: str) -> None:
    with pytest.raises(PermanentError, match=f"Channel team: .*{sentence}"):
        channel_for(_spec("team", "slack", spec_value), Settings())


def test_email_without_a_server_says_which_setting() -> None:
    spec = ChannelSpec("mail", "email", addresses=("team@example.com",))

    with pytest.raises(PermanentError, match="STEWARD_SMTP_URL"):
        channel_for(spec, Settings())


def _spec(name: str, kind: Any, value: str) -> ChannelSpec:
    return ChannelSpec(name, kind, value=SecretStr(value))


# --- steward notify test ----------------------------------------------------------------------


@pytest.fixture
def installation(
    tmp_path: Path,
    http_capture: HttpCapture,
    smtp_server: SmtpCapture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every kind of channel, configured by settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEWARD_SLACK_WEBHOOK_URL", f"{http_capture.url}/slack/{SECRET}")
    monkeypatch.setenv("STEWARD_SMTP_URL", smtp_server.url)
    monkeypatch.setenv("STEWARD_EMAIL_TO", "team@example.com")
    monkeypatch.setenv("STEWARD_NOTIFY_URLS", f"json://127.0.0.1:{http_capture.port}/{SECRET}")


@pytest.mark.usefixtures("installation")
def test_the_command_sends_an_example_to_each_channel(
    http_capture: HttpCapture, smtp_server: SmtpCapture
) -> None:
    result = CliRunner().invoke(app, ["test"])

    assert result.exit_code == 0
    assert "slack (slack): ok, ok" in result.stdout
    assert "email (email): ok, accepted for 1 of 1" in result.stdout
    assert "apprise (apprise): ok, sent" in result.stdout
    assert "Mode observe is in force" in result.stdout
    assert len(http_capture.requests) == 2
    subject = smtp_server.messages[0].message["Subject"]
    assert subject == "[Test] credit-risk version 7 promoted to Production"


@pytest.mark.usefixtures("installation")
def test_the_command_goes_on_after_a_channel_that_fails(http_capture: HttpCapture) -> None:
    http_capture.answers = [Answer(404, b"no_service")]

    result = CliRunner().invoke(app, ["test"])

    assert result.exit_code == 1
    assert "slack (slack): failed. Slack refused the message (404 no_service)" in result.stdout
    assert "email (email): ok" in result.stdout
    assert SECRET not in result.output


@pytest.mark.usefixtures("installation")
def test_the_command_can_show_one_channel_and_send_nothing(
    http_capture: HttpCapture, smtp_server: SmtpCapture
) -> None:
    arguments = ["test", "--print", "--channel", "slack", "--event", "promotion.held"]
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 0
    assert json.loads(result.stdout)[0]["text"]["text"].startswith("[Test] credit-risk")
    assert not http_capture.requests
    assert not smtp_server.messages


@pytest.mark.usefixtures("installation")
@pytest.mark.parametrize("option", ["--channel", "--event"])
def test_the_command_says_what_there_is(option: str) -> None:
    result = CliRunner().invoke(app, ["test", option, "nonsense"])

    assert result.exit_code == 2
    assert "there is: " in result.stderr


@pytest.mark.usefixtures("installation")
@pytest.mark.parametrize(
    "event", ["approval.requested", "approval.rejected", "approval.expired", "promotion.held"]
)
def test_the_command_has_an_example_of_what_people_are_asked(event: str) -> None:
    result = CliRunner().invoke(app, ["test", "--print", "--event", event])

    assert result.exit_code == 0
    assert "[Test] credit-risk version 7" in result.stdout


@pytest.mark.usefixtures("installation")
def test_the_command_says_that_a_policys_channels_need_its_file() -> None:
    result = CliRunner().invoke(app, ["test", "--channel", "risk-slack"])

    assert result.exit_code == 2
    assert "STEWARD_POLICY_FILE is not set here" in result.stderr


def test_the_command_says_how_to_configure_a_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, ["test"])

    assert result.exit_code == 1
    assert "STEWARD_SLACK_WEBHOOK_URL" in result.stderr
