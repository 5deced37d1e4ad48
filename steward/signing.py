"""Signatures of deliveries and of calls between Steward and its replicas.

Both are the Standard Webhooks recipe (HMAC-SHA256 over ``id.timestamp.body``); MLflow sends the
same signature under its own header names. Several secrets may be valid at once, for rotation.

That recipe signs neither method nor path: a captured call could be sent to another address. So the
message ids of Steward's own calls name both: ``POST /reload|`` and then what is unique.
"""

import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

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


def sign(secret: bytes, *, method: str, path: str, body: bytes) -> dict[str, str]:
    """Headers that let :func:`verify_request` accept ``body``, there, for the next 300 seconds.

    ``path`` is URL-encoded, and as the receiving program knows it: without a proxy's prefix.
    """
    now = datetime.now(UTC)
    message_id = _address(method, path) + str(uuid4())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, body.decode()),
    }


def verify_request(
    secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, *, method: str, path: str
) -> None:
    """:func:`verify` for a call with the Standard Webhooks headers that was signed for here.

    Raises:
        DeliveryRejected: 401, also when it was signed for another method or path.

    """
    message_id = headers.get("webhook-id", "")
    address = _address(method, path)
    if not message_id.startswith(address):
        raise DeliveryRejected(
            401, "bad_signature", f'The signature was not accepted: no webhook-id "{address}...".'
        )
    verify(
        secrets,
        message_id=message_id,
        timestamp=headers.get("webhook-timestamp", ""),
        signature=headers.get("webhook-signature", ""),
        body=body,
    )


def _address(method: str, path: str) -> str:
    """How the message id of a call begins. An encoded path holds no ``|``: none begins another."""
    return f"{method} {path}|"
