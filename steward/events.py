"""Event types and the event itself: a fact, past tense, immutable, journalled once.

Every room speaks these words. An event's JSON form is CloudEvents 1.0 (structured mode).
"""

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    """What can become true, in MLflow's ``entity.action`` form. Unknown types stay strings."""

    MODEL_CREATED = "registered_model.created"
    MODEL_UPDATED = "registered_model.updated"
    MODEL_RENAMED = "registered_model.renamed"
    MODEL_DELETED = "registered_model.deleted"
    MODEL_TAG_SET = "registered_model_tag.set"
    MODEL_TAG_DELETED = "registered_model_tag.deleted"
    CHAMPION_CHANGED = "registered_model.champion_changed"
    VERSION_CREATED = "model_version.created"
    VERSION_UPDATED = "model_version.updated"
    VERSION_TRANSITIONED = "model_version.transitioned_stage"
    VERSION_DELETED = "model_version.deleted"
    VERSION_METRICS_LOGGED = "model_version.metrics_logged"
    VERSION_TAG_SET = "model_version_tag.set"
    VERSION_TAG_DELETED = "model_version_tag.deleted"
    ALIAS_CREATED = "model_version_alias.created"
    ALIAS_DELETED = "model_version_alias.deleted"
    VALIDATED = "model_version.validated"
    REJECTED = "model_version.rejected"
    PROMOTION_REQUESTED = "promotion.requested"
    HELD = "promotion.held"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_APPROVED = "approval.approved"
    APPROVAL_REJECTED = "approval.rejected"
    APPROVAL_EXPIRED = "approval.expired"
    PROMOTED = "model_version.promoted"
    ROLLBACK_REQUESTED = "rollback.requested"
    ROLLED_BACK = "model_version.rolled_back"
    ROLLOUT_STARTED = "rollout.started"
    ROLLOUT_FINISHED = "rollout.finished"
    ROLLOUT_FAILED = "rollout.failed"
    POLICY_CHANGED = "policy.changed"
    POLICY_VIOLATED = "policy.violated"
    AUTOMATION_PAUSED = "automation.paused"
    AUTOMATION_RESUMED = "automation.resumed"
    DISPATCH_DIED = "dispatch.died"


_uuid7_lock = threading.Lock()
_uuid7_last = 0


def uuid7() -> str:
    """A UUID, version 7 of RFC 9562: 48 bits of milliseconds, then random bits.

    Within one process each is greater than the one before, so that ids sort as they were made.
    """
    global _uuid7_last  # noqa: PLW0603  # the order within one process is the point
    random = int.from_bytes(os.urandom(9), "big") & (1 << 72) - 1
    with _uuid7_lock:
        value = max(time.time_ns() // 1_000_000 << 72 | random, _uuid7_last + 1)
        _uuid7_last = value
    milliseconds, high, low = value >> 72, value >> 62 & 0x3FF, value & (1 << 62) - 1
    digits = f"{milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Names one registered model: registry, workspace ("" where workspaces are off), name."""

    name: str
    registry: str = "default"
    workspace: str = ""

    def __str__(self) -> str:
        return self.name

    def lane(self, kind: str) -> str:
        """The lane of this model: ``production/<registry>/<model>`` or ``fleet/...``."""
        return "/".join(part for part in (kind, self.registry, self.workspace, self.name) if part)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """What a handler or an intake says became true; the journal gives it an id and records it."""

    type: str
    model: ModelRef | None = None
    version: str | None = None
    before: Any = None
    after: Any = None
    data: Mapping[str, Any] = field(default_factory=dict)
    source: str = "steward"
    occurred_at: datetime | None = None
    caused_by: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One journalled fact. ``caused_by`` is the id of the event it came from."""

    id: str
    type: str
    source: str
    model: ModelRef | None
    version: str | None
    before: Any
    after: Any
    data: Mapping[str, Any]
    occurred_at: datetime
    recorded_at: datetime
    caused_by: str | None = None
    seen_by: str = "self"

    def to_cloudevent(self) -> dict[str, Any]:
        """The CloudEvents 1.0 JSON form; our own attributes are extensions or lie in ``data``."""
        subject = None
        if self.model:
            subject = f"{self.model.name}/{self.version}" if self.version else self.model.name
        return {
            "specversion": "1.0",
            "id": self.id,
            "type": self.type,
            "source": self.source,
            "subject": subject,
            "time": self.occurred_at.isoformat(),
            "datacontenttype": "application/json",
            "registry": self.model.registry if self.model else None,
            "workspace": self.model.workspace if self.model else None,
            "model": self.model.name if self.model else None,
            "version": self.version,
            "recordedat": self.recorded_at.isoformat(),
            "causedby": self.caused_by,
            "seenby": self.seen_by,
            "data": {**self.data, "before": self.before, "after": self.after},
        }

    @classmethod
    def from_cloudevent(cls, document: Mapping[str, Any]) -> "Event":
        """Read back what :meth:`to_cloudevent` wrote."""
        data = dict(document["data"])
        before, after = data.pop("before", None), data.pop("after", None)
        name = document.get("model")
        model = (
            ModelRef(name, document.get("registry") or "default", document.get("workspace") or "")
            if name
            else None
        )
        return cls(
            id=document["id"],
            type=document["type"],
            source=document["source"],
            model=model,
            version=document.get("version"),
            before=before,
            after=after,
            data=data,
            occurred_at=datetime.fromisoformat(document["time"]).astimezone(UTC),
            recorded_at=datetime.fromisoformat(document["recordedat"]).astimezone(UTC),
            caused_by=document.get("causedby"),
            seen_by=document.get("seenby") or "self",
        )


def direction(before: object, after: object) -> str:
    """Which way Production went: ``back``, or ``forward`` to a version that was registered later.

    MLflow counts versions up; a rollback may name one that is newer than Production.
    """
    left, now = str(before), str(after)
    is_forward = left.isdecimal() and now.isdecimal() and int(now) > int(left)
    return "forward" if is_forward else "back"
