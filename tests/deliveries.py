"""Deliveries as MLflow makes and signs them."""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

SECRET = "a-webhook-secret"


def signed(
    body: bytes,
    *,
    delivery_id: str | None = None,
    secret: str = SECRET,
    timestamp: int | None = None,
) -> dict[str, str]:
    """The headers of one delivery of MLflow."""
    delivery_id = delivery_id or str(uuid4())
    when = str(int(time.time()) if timestamp is None else timestamp)
    content = f"{delivery_id}.{when}.".encode() + body
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "x-mlflow-delivery-id": delivery_id,
        "x-mlflow-timestamp": when,
        "x-mlflow-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def payload(event: str, **data: Any) -> Mapping[str, Any]:
    """MLflow's payload of one event about the model ``fraud``."""
    entity, action = event.split(".")
    return {
        "entity": entity,
        "action": action,
        "timestamp": "2026-03-01T12:00:00+00:00",
        "data": {"name": "fraud", **data},
    }


def created(version: str = "1", name: str = "fraud", **data: Any) -> Mapping[str, Any]:
    """A version was registered."""
    fields = {"source": "models:/m-1", "run_id": None, "tags": {}, "description": None}
    return payload("model_version.created", **{"name": name, "version": version, **fields, **data})
