"""Signatures of deliveries and of calls between Steward and its replicas.

Both are the Standard Webhooks recipe (HMAC-SHA256 over ``id.timestamp.body``); MLflow sends the
same signature under its own header names. Several secrets may be valid at once, for rotation.
"""

import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from steward.errors import DeliveryRejected

TOLERANCE_SECONDS = 300


def verify(
    secrets: Sequence[bytes], *, message_id: str, timestamp: str, signature: str, body: bytes
) -> None:
    """Accept ``body`` if any of ``secrets`` signed it within the last 300 seconds.

    Raises:
        DeliveryRejected: 401, whatever is wrong with the headers or the signature.

    """
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature,
    }
    problem = "no secret is configured here"
    for secret in secrets:
        try:
            Webhook(secret).verify(body, headers, json_parse=False)
        except WebhookVerificationError as error:
            problem = str(error)
        except (ValueError, UnicodeError, OverflowError, binascii.Error):
            problem = "a malformed signature or timestamp"
        else:
            return
    raise DeliveryRejected(401, "bad_signature", f"The signature was not accepted: {problem}.")


def sign(secret: bytes, *, message_id: str, body: bytes) -> dict[str, str]:
    """Headers that let :func:`verify_request` accept ``body`` for the next 300 seconds."""
    now = datetime.now(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, body.decode()),
    }


def verify_request(secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes) -> None:
    """:func:`verify` for a request that carries the Standard Webhooks headers."""
    verify(
        secrets,
        message_id=headers.get("webhook-id", ""),
        timestamp=headers.get("webhook-timestamp", ""),
        signature=headers.get("webhook-signature", ""),
        body=body,
    )
