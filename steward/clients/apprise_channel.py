"""Everything else that Apprise speaks: one URL, one service. Made by ``channels.channel_for``.

https://github.com/caronc/apprise/wiki. Its URLs carry tokens in any part, so no part is ever shown.
"""

import logging

from steward.clients.redaction import secrets_of, without
from steward.errors import PermanentError, TransientError
from steward.ports import Notification

_LOG = logging.getLogger("apprise")
_NOWHERE = logging.NullHandler()


class AppriseChannel:
    """Sends notifications to one Apprise URL."""

    def __init__(self, url: str) -> None:
        self._url = url.strip()

    def send(self, notification: Notification) -> str:
        """Send it once; Apprise tells whether it went, its log tells why not."""
        from apprise import Apprise, AppriseAsset, NotifyFormat

        # Its records go into our errors, with the URL's parts hidden, and so not into our logs.
        _LOG.propagate = False
        _LOG.addHandler(_NOWHERE)
        service = Apprise(asset=AppriseAsset(app_id="Steward", async_mode=False))
        if not service.add(self._url):
            scheme = self._url.partition("://")[0] if "://" in self._url else "none"
            raise PermanentError(
                f"Apprise cannot use this channel's URL (scheme: {scheme[:20]}); "
                "its form is described at https://github.com/caronc/apprise/wiki."
            )
        result = service.notify(
            body=notification.text,
            title=notification.title,
            notify_type=notification.severity,
            body_format=NotifyFormat.TEXT,
        )
        if result:
            return "sent"
        lines = "; ".join(str(entry.message).rstrip(". ") for entry in result.logs())
        detail = without(secrets_of(self._url), lines) or "it gave no reason"
        raise TransientError(f"Apprise could not send: {detail}.")
