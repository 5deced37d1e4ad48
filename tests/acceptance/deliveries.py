"""Deliveries as MLflow sends and signs them, for what no real MLflow can be made to send."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from uuid import uuid4

import httpx

from tests.acceptance.installation import Installation


def created(model: str, version: str = "1", **data: Any) -> dict[str, Any]:
    """The payload of a version that was registered."""
    fields = {"source": "models:/m-1", "run_id": None, "tags": {}, "description": None}
    return {
        "entity": "model_version",
        "action": "created",
        "timestamp": "2026-03-01T12:00:00+00:00",
        "data": {"name": model, "version": version, **fields, **data},
    }


def deliver(
    house: Installation,
    document: Any,
    *,
    secret: str | None = None,
    age_seconds: int = 0,
    delivery_id: str | None = None,
    without: str = "",
) -> httpx.Response:
    """POST a document, or raw bytes; ``without`` leaves one header out."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    secret = secret or (house.data_dir / "secrets" / "webhook-secret").read_text()
    delivery_id, sent = delivery_id or str(uuid4()), str(int(time.time()) - age_seconds)
    content = f"{delivery_id}.{sent}.".encode() + body
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    headers = {
        "content-type": "application/json",
        "x-mlflow-delivery-id": delivery_id,
        "x-mlflow-timestamp": sent,
        "x-mlflow-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    headers.pop(without, None)
    url = f"{house.url}/webhooks/mlflow"
    return httpx.post(url, content=body, headers=headers, timeout=20, trust_env=False)
