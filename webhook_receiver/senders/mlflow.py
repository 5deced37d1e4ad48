"""MLflow's own webhooks: their signature, their payloads, and what those say of the registry.

A payload's ``workspace`` is left unread: MLflow caches webhooks by event alone, so it names the
workspace of the webhook, which may be another than that of the event. Until the registry itself is
asked, a delivery counts for the workspace of its route.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from steward import signing
from steward.errors import DeliveryRejected
from steward.events import EventType, ModelRef
from steward.journal.deliveries import News
from steward.journal.facets import EXISTS
from webhook_receiver.senders.payload import malformed, read_json
from webhook_receiver.senders.port import Letter

SENDER = "mlflow"
_LONGEST_NAME, _LONGEST_KEY, _LONGEST_VERSION, _LONGEST_ID = 512, 500, 64, 200
_WORD = re.compile(r"[a-z][a-z_]{0,63}")
_CLOCK_SKEW = timedelta(seconds=signing.TOLERANCE_SECONDS)

# MLflow's test deliveries carry its own examples and no other mark.
_EXAMPLES: dict[str, Any] = {
    "version": "1",
    "source": "models:/123",
    "run_id": "abcd1234abcd5678",
    "tags": {"example_key": "example_value"},
    "key": "example_key",
    "value": "example_value",
    "alias": "example_alias",
}
_EXAMPLE_NAMES = ("example_model", "example_prompt")
_EXAMPLE_BUDGET = "bp-abc123"

_OWN_ENTITIES = frozenset(
    {"promotion", "approval", "rollback", "rollout", "policy", "automation", "dispatch"}
)
_OWN_TYPES = frozenset(
    {
        EventType.CHAMPION_CHANGED,
        EventType.VALIDATED,
        EventType.REJECTED,
        EventType.PROMOTED,
        EventType.ROLLED_BACK,
    }
)
_ABOUT_MODELS = frozenset(
    {
        "registered_model",
        "registered_model_tag",
        "model_version",
        "model_version_tag",
        "model_version_alias",
    }
)


@dataclass(frozen=True, slots=True)
class Fact:
    """What one event type is about, read from its payload's data."""

    facet: Callable[[Mapping[str, Any]], str]
    value: Callable[[Mapping[str, Any]], Any]
    is_of_version: bool = False  # else of the model itself
    names_version: bool = False


def parse_document(document: Mapping[str, Any], registry: str) -> News | None:
    """What a payload says; None for one of MLflow's test deliveries.

    Raises:
        DeliveryRejected: 422 when the payload has the wrong form.

    """
    entity, action, data = document.get("entity"), document.get("action"), document.get("data")
    if not (isinstance(entity, str) and _WORD.fullmatch(entity)):
        raise malformed('"entity" is a word such as "model_version"')
    if not (isinstance(action, str) and _WORD.fullmatch(action)):
        raise malformed('"action" is a word such as "created"')
    if not isinstance(data, dict):
        raise malformed('"data" is an object')
    event_type = f"{entity}.{action}"
    if entity in _OWN_ENTITIES or event_type in _OWN_TYPES:
        raise DeliveryRejected(
            422,
            "not_a_registry_fact",
            f"{event_type} is recorded by Steward alone, never received.",
        )
    if _is_test(data):
        return None
    source = f"mlflow/{registry}"
    fact = _FACTS.get(event_type)
    if fact is None:
        return _unknown(event_type, entity, data, source, registry)
    return News(
        type=event_type,
        source=source,
        model=ModelRef(_text(data, "name", _LONGEST_NAME), registry),
        version=_version(data) if fact.names_version or fact.is_of_version else None,
        subject=_version(data) if fact.is_of_version else "",
        facet=fact.facet(data),
        value=fact.value(data),
        data=data,
        tags=_tags(data),
        description=_description(data),
    )


class MlflowSender:
    """Verifies and parses what MLflow sends; several secrets may be valid at once."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = secrets

    def verify(self, headers: Mapping[bytes, bytes], body: bytes) -> Letter:
        delivery_id = headers.get(b"x-mlflow-delivery-id", b"").decode("latin-1")
        timestamp = headers.get(b"x-mlflow-timestamp", b"").decode("latin-1")
        # The signature covers the whole seconds alone: another spelling of them is not MLflow's.
        is_plain = timestamp.isascii() and timestamp.isdigit()
        if not is_plain or len(delivery_id) > _LONGEST_ID or not delivery_id.isascii():
            raise DeliveryRejected(
                401,
                "bad_signature",
                "The signature was not accepted: X-MLflow-Delivery-Id or X-MLflow-Timestamp is "
                "missing or malformed.",
            )
        signing.verify(
            self._secrets,
            message_id=delivery_id,
            timestamp=timestamp,
            signature=headers.get(b"x-mlflow-signature", b"").decode("latin-1"),
            body=body,
        )
        return Letter(SENDER, delivery_id, datetime.fromtimestamp(int(timestamp), UTC))

    def parse(self, letter: Letter, body: bytes, registry: str) -> tuple[News | None, datetime]:
        document = read_json(body)
        sent_at = _timestamp(document.get("timestamp"), letter.sent_at)
        return parse_document(document, registry), sent_at


def _unknown(
    event_type: str, entity: str, data: Mapping[str, Any], source: str, registry: str
) -> News:
    """A type that we know nothing of; of a model where it says so (prompts are another kind)."""
    model = None
    if entity in _ABOUT_MODELS:
        model = ModelRef(_text(data, "name", _LONGEST_NAME), registry)
    version = data.get("version")
    is_version = isinstance(version, str) and 0 < len(version) <= _LONGEST_VERSION
    return News(event_type, source, model, version if is_version else None, data=data)


def _is_test(data: Mapping[str, Any]) -> bool:
    if data.get("budget_policy_id") == _EXAMPLE_BUDGET:
        return True
    if data.get("name") not in _EXAMPLE_NAMES:
        return False
    return all(data[key] == example for key, example in _EXAMPLES.items() if key in data)


def _text(data: Mapping[str, Any], key: str, longest: int) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise malformed(f'"data.{key}" is text of 1 to {longest} characters')
    return value


def _version(data: Mapping[str, Any]) -> str:
    return _text(data, "version", _LONGEST_VERSION)


def _tag(data: Mapping[str, Any]) -> str:
    return f"tag:{_text(data, 'key', _LONGEST_KEY)}"


def _tag_value(data: Mapping[str, Any]) -> str:
    value = data.get("value")
    if not isinstance(value, str):
        raise malformed('"data.value" is text')
    return value


def _alias(data: Mapping[str, Any]) -> str:
    return f"alias:{_text(data, 'alias', _LONGEST_KEY)}"


def _tags(data: Mapping[str, Any]) -> dict[str, str]:
    """The tags that came with a creation; one of another form is left for the poller to read."""
    tags = data.get("tags")
    if not isinstance(tags, dict):
        return {}
    return {
        key: value
        for key, value in tags.items()
        if isinstance(value, str) and len(key) <= _LONGEST_KEY
    }


def _description(data: Mapping[str, Any]) -> str:
    description = data.get("description")
    return description if isinstance(description, str) else ""


def _timestamp(text: Any, default: datetime) -> datetime:
    """When MLflow says it sent this, where that agrees with what it signed."""
    if not isinstance(text, str):
        return default
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return default
    if found.tzinfo is None:
        return default
    try:
        found = found.astimezone(UTC)
    except OverflowError:
        return default
    return found if abs(found - default) <= _CLOCK_SKEW else default


def _exists(_data: Mapping[str, Any]) -> str:
    return EXISTS


def _true(_data: Mapping[str, Any]) -> bool:
    return True


def _absent(_data: Mapping[str, Any]) -> None:
    return None


_FACTS: dict[str, Fact] = {
    EventType.MODEL_CREATED: Fact(_exists, _true),
    EventType.VERSION_CREATED: Fact(_exists, _true, is_of_version=True),
    EventType.VERSION_DELETED: Fact(_exists, _absent, is_of_version=True),
    EventType.VERSION_TAG_SET: Fact(_tag, _tag_value, is_of_version=True),
    EventType.VERSION_TAG_DELETED: Fact(_tag, _absent, is_of_version=True),
    EventType.MODEL_TAG_SET: Fact(_tag, _tag_value),
    EventType.MODEL_TAG_DELETED: Fact(_tag, _absent),
    EventType.ALIAS_CREATED: Fact(_alias, _version, names_version=True),
    EventType.ALIAS_DELETED: Fact(_alias, _absent),
}
"""Facets by event type, as ``steward/journal/observed.py`` keeps them."""
