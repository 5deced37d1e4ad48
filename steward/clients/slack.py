"""Slack, by an incoming webhook: one message of Block Kit blocks. Made by ``channels.channel_for``.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/
"""

import json
import logging
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import NoReturn
from urllib.parse import urlsplit

from slack_sdk.webhook import WebhookClient, WebhookResponse

from steward.clients.redaction import secrets_of, without
from steward.errors import ConfigurationError, PermanentError, TransientError
from steward.ports import Notification

LONGEST_RETRY_AFTER_SECONDS = 600.0
_MEANING = {
    "invalid_payload": "Slack does not understand the message; look at the Slack template.",
    "invalid_blocks": "Slack does not understand the blocks; look at the Slack template.",
    "no_text": "Slack found no text in the message; look at the Slack template.",
    "no_service": "The webhook was removed or switched off; make a new one in Slack.",
    "no_active_hooks": "The webhook was removed or switched off; make a new one in Slack.",
    "invalid_token": "The webhook's URL is not valid any more; make a new one in Slack.",
    "channel_is_archived": "The channel is archived; restore it, or make a webhook for another.",
    "channel_not_found": "The channel does not exist any more; make a webhook for another.",
    "user_not_found": "The webhook's user does not exist any more; make a new webhook.",
    "action_prohibited": "The workspace's admins do not allow this; ask them.",
    "posting_to_general_channel_denied": "Only admins may post there; use another channel.",
    "team_disabled": "The workspace is switched off.",
}
_RETRIED = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class SlackChannel:
    """Sends notifications to one incoming webhook."""

    def __init__(self, url: str, *, timeout_seconds: int = 10) -> None:
        if not _is_http(url):
            raise ConfigurationError("The Slack webhook is not an http(s) URL.")
        self._url = url
        # The SDK writes the URL, which is the secret, to its logger; and it reads HTTP_PROXY but
        # not NO_PROXY, where urllib beneath it honours both.
        self._client = WebhookClient(
            url, timeout=timeout_seconds, retry_handlers=[], logger=_silent_logger()
        )
        self._client.proxy = None

    def send(self, notification: Notification) -> str:
        """Post it once; the journal decides about another try."""
        title = notification.title
        for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            title = title.replace(character, escaped)
        try:
            response = self._client.send(
                text=title, blocks=[dict(block) for block in notification.slack_blocks]
            )
        except OSError as error:  # URLError, TimeoutError, ConnectionError
            cause = getattr(error, "reason", error)
            reason = without(secrets_of(self._url), str(cause))
            raise TransientError(
                f"Slack cannot be reached: {reason}.",
                is_certain=isinstance(cause, (ConnectionRefusedError, socket.gaierror)),
            ) from error
        except HTTPException as error:
            raise TransientError(f"Slack broke off: {type(error).__name__}.") from None
        except ValueError:  # its text may hold the URL
            raise PermanentError("The Slack webhook's URL, or its answer, is malformed.") from None
        return self._judge(response)

    def _judge(self, response: WebhookResponse) -> str:
        body = without(secrets_of(self._url), response.body)
        status = response.status_code
        if status in _RETRIED:
            raise TransientError(
                f"Slack asks to wait ({status} {body}).".replace(" )", ")"),
                retry_after_seconds=_retry_after(response.headers.get("Retry-After")),
                is_certain=status == HTTPStatus.TOO_MANY_REQUESTS,
            )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise TransientError(f"Slack has a problem ({status} {body}).".replace(" )", ")"))
        code = _error_code(response.body)
        if status >= HTTPStatus.MULTIPLE_CHOICES or code:
            _refuse(status, without(secrets_of(self._url), code or response.body))
        if response.body.lstrip().startswith("<"):
            raise PermanentError("A web page answered instead of Slack; look at the webhook's URL.")
        return body or str(status)


def _is_http(url: str) -> bool:
    try:
        return urlsplit(url).scheme in {"http", "https"}
    except ValueError:
        return False


def _refuse(status: int, code: str) -> NoReturn:
    meaning = _MEANING.get(code, "Look at the webhook in Slack, and at its URL here.")
    raise PermanentError(f"Slack refused the message ({status} {code}): {meaning}")


def _error_code(body: str) -> str:
    """The error in a JSON answer ``{"ok": false, "error": ...}``; empty when there is none."""
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    is_refused = isinstance(answer, dict) and answer.get("ok") is False
    return str(answer.get("error") or "ok:false") if is_refused else ""


def _retry_after(value: str | None) -> float | None:
    """Seconds from a ``Retry-After`` header (a number or a date), at most ten minutes."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def _silent_logger() -> logging.Logger:
    return logging.Logger("slack", level=logging.CRITICAL + 1)  # noqa: LOG001  # kept out of the tree
