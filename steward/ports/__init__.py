"""What handlers may ask of the world: Protocols of a few methods each, and the values they carry.

Clients in ``steward/clients`` implement them on real services; ``tests/fakes.py`` in memory. One
module a subject; everybody imports from here.
"""

from steward.ports.channel import Channel, Notification
from steward.ports.datasets import Datasets, ModelStore, Table
from steward.ports.fleet import Fleet, Replica, ReplicaAnswer
from steward.ports.history import Desired, History, Verdict
from steward.ports.ledger import Intent, Ledger
from steward.ports.outcomes import Done, Handler, Hint, Outcome, Skipped, Wait
from steward.ports.readings import Look, Reading
from steward.ports.registry import (
    Column,
    DatasetInput,
    Evidence,
    MetricValue,
    ModelInfo,
    ModelPage,
    Registry,
    Signature,
    VersionInfo,
    copy_of,
)
from steward.ports.sandbox import ModelFacts, ModelFiles, Sandbox, SandboxedModel, SandboxLimits
from steward.ports.services import Clock, Services, Work

__all__ = [
    "Channel",
    "Clock",
    "Column",
    "DatasetInput",
    "Datasets",
    "Desired",
    "Done",
    "Evidence",
    "Fleet",
    "Handler",
    "Hint",
    "History",
    "Intent",
    "Ledger",
    "Look",
    "MetricValue",
    "ModelFacts",
    "ModelFiles",
    "ModelInfo",
    "ModelPage",
    "ModelStore",
    "Notification",
    "Outcome",
    "Reading",
    "Registry",
    "Replica",
    "ReplicaAnswer",
    "Sandbox",
    "SandboxLimits",
    "SandboxedModel",
    "Services",
    "Signature",
    "Skipped",
    "Table",
    "Verdict",
    "VersionInfo",
    "Wait",
    "Work",
    "copy_of",
]
