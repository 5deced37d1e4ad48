"""Email over SMTP: one multipart message, plain and HTML. Made by ``channels.channel_for``.

``smtp://`` encrypts when the server offers it, ``smtp+starttls://`` insists, ``smtps://`` is TLS
from the first byte; user and password stand in the URL, percent-encoded.
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate, parseaddr
from urllib.parse import unquote, urlsplit

from steward.clients.redaction import without
from steward.errors import ConfigurationError, PermanentError, StewardError, TransientError
from steward.ports import Notification

_DEFAULT_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_FIRST_PERMANENT_CODE = 500


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in, and how."""

    host: str
    port: int
    scheme: str
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> "SmtpServer":
        """Read ``smtp[s]://[user:password@]host[:port]``; the error never shows the URL."""
        try:
            parts = urlsplit(url)
            port = parts.port or _DEFAULT_PORTS[parts.scheme]
        except (ValueError, KeyError):
            parts, port = urlsplit(""), 0
        if not parts.hostname:
            raise ConfigurationError(
                "STEWARD_SMTP_URL is not of the form smtp://user:password@host:port "
                "(or smtps://, smtp+starttls://)."
            )
        return cls(
            host=parts.hostname,
            port=port,
            scheme=parts.scheme,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )


class EmailChannel:
    """Sends notifications to some addresses through one SMTP server."""

    def __init__(
        self,
        url: str,
        *,
        sender: str | None,
        recipients: Sequence[str],
        timeout_seconds: float = 10,
    ) -> None:
        self._server = SmtpServer.parse(url)
        self._sender = _address(sender or f"steward@{socket.gethostname()}")
        self._recipients = [_address(recipient) for recipient in recipients]
        self._timeout_seconds = timeout_seconds
        if not self._recipients:
            raise ConfigurationError("The email channel has no address to send to.")

    def send(self, notification: Notification) -> str:
        """Hand it in once; some recipients may be refused while others get it."""
        message = self._message(notification)
        try:
            refused = self._hand_in(message)
        except ssl.SSLError as error:
            raise PermanentError(
                f"{self._where}: TLS failed: {error.reason or error}. Look at the server's "
                "certificate, and at the scheme and port of STEWARD_SMTP_URL."
            ) from error
        except (OSError, UnicodeError) as error:  # SMTPException is an OSError
            raise self._translate(error) from error
        accepted = len(self._recipients) - len(refused)
        names = ", ".join(f"{name} ({code})" for name, (code, _) in refused.items())
        return f"accepted for {accepted} of {len(self._recipients)}" + (
            f"; refused: {names}" if names else ""
        )

    @property
    def _where(self) -> str:
        return f"SMTP server {self._server.host}:{self._server.port}"

    def _message(self, notification: Notification) -> EmailMessage:
        message = EmailMessage(policy=SMTP_POLICY)
        message["Subject"] = _one_line(notification.title)
        message["From"] = self._sender
        message["To"] = ", ".join(self._recipients)
        message["Date"] = formatdate()
        # The same for every try of one notification, so that mail systems can drop a repeat.
        domain = parseaddr(self._sender)[1].rpartition("@")[2]
        message["Message-ID"] = f"<{re.sub(r'[^A-Za-z0-9-]+', '.', notification.key)}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(notification.text)
        message.add_alternative(notification.html, subtype="html")
        return message

    def _hand_in(self, message: EmailMessage) -> dict[str, tuple[int, bytes]]:
        server, timeout = self._server, self._timeout_seconds
        local = socket.gethostname()  # the default asks DNS, which may hang
        verified = ssl.create_default_context()
        if server.scheme == "smtps":
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, local, timeout=timeout, context=verified
            )
        else:
            client = smtplib.SMTP(server.host, server.port, local, timeout=timeout)
        with client:
            if server.scheme != "smtps":
                self._encrypt(client, verified)
            if server.user:
                client.login(server.user, server.password)
            return client.send_message(message)

    def _encrypt(self, client: smtplib.SMTP, verified: ssl.SSLContext) -> None:
        client.ehlo_or_helo_if_needed()
        if client.has_extn("starttls"):
            context = verified
            if self._server.scheme == "smtp" and not self._server.password:
                # Encryption that nobody asked for is better than none, whoever signed the
                # certificate: internal relays often sign their own.
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client.starttls(context=context)
            client.ehlo()
        elif self._server.scheme == "smtp+starttls":
            raise smtplib.SMTPNotSupportedError("STARTTLS is required and the server has none")

    def _translate(self, error: OSError | UnicodeError) -> StewardError:
        """By the reply code: 5xx stops, everything else is tried again."""
        if isinstance(error, UnicodeError):
            return PermanentError(f"{self._where}: user and password must be ASCII.")
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return PermanentError(f"{self._where}: {self._detail(str(error))}.")
        text: bytes | str
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            # One that may work later is worth another try: nobody has the mail yet.
            code, text = min(error.recipients.values())
        elif isinstance(error, smtplib.SMTPResponseException):
            code, text = error.smtp_code, error.smtp_error
        else:
            detail = self._detail(str(error)) or type(error).__name__
            return TransientError(
                f"{self._where} cannot be reached: {detail}.",
                is_certain=isinstance(error, (ConnectionRefusedError, socket.gaierror)),
            )
        reply = self._detail(text.decode(errors="replace") if isinstance(text, bytes) else text)
        if code >= _FIRST_PERMANENT_CODE:
            hint = ""
            if isinstance(error, smtplib.SMTPAuthenticationError):
                hint = " Look at user and password in STEWARD_SMTP_URL."
            return PermanentError(f"{self._where} refused the mail ({code} {reply}).{hint}")
        return TransientError(f"{self._where} put the mail off ({code} {reply}).", is_certain=True)

    def _detail(self, text: str) -> str:
        return without([self._server.password, self._server.user], text)


def _address(text: str) -> str:
    """One address, so that no header can be smuggled in with it."""
    address = _one_line(text)
    if address != text.strip() or "@" not in parseaddr(address)[1]:
        raise ConfigurationError(f"{_one_line(text)!r} is not an email address.")
    return address


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
