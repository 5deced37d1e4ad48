"""The values of a decision: what it rests on, and what it says.

``promote`` gathers the facts; ``decisions`` and ``asking`` rule on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from handlers.approvals import Said, Word
from handlers.examined import OnHoldout
from handlers.gates import Gate
from handlers.metrics import Lookup, Missing
from handlers.production import Production
from steward.ports import Signature

Kind = Literal["promote", "hold", "ask", "reject", "nothing"]
_NOT_LOGGED: Lookup = Missing("no value was looked for")


@dataclass(frozen=True, slots=True)
class Measured:
    """One side of the comparison: a version, and its metrics by the policy's names for them.

    ``signature``: None where the policy needs none, or it could not be read.
    """

    version: str
    metrics: Mapping[str, Lookup] = field(default_factory=dict)
    signature: Signature | None = None

    def of(self, metric: str) -> Lookup:
        """What was found for a metric."""
        return self.metrics.get(metric, _NOT_LOGGED)


@dataclass(frozen=True, slots=True)
class Request:
    """A person's ``steward promote``; an override also passes a rejection and failed gates.

    ``passed_over`` are the gates that failed, in sentences.
    """

    actor: str
    reason: str = ""
    is_override: bool = False
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What else a decision rests on.

    ``on_holdout``: both scored on the same rows, None where they were not; ``holdout_problem`` why.
    ``said``: what people said of the version; ``author``: whom its run names, unverified;
    ``identity``: what tells this version from another of the same number.
    """

    production: Production
    rejected_by_person: frozenset[str] = frozenset()
    rolled_back_from: frozenset[str] = frozenset()
    on_holdout: OnHoldout | None = None
    holdout_problem: str = ""
    said: Said = field(default_factory=Said)
    author: str | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done and why. ``gain`` is positive when the candidate is better.

    ``metric`` is the policy's name; ``required`` the gain that the policy asks for, also where it
    says it relative to Production; ``ruled`` the code of what the rules say, before any person;
    ``on_holdout`` how both did on the same rows, if they were scored; ``gates`` what was judged
    last, right before Production; ``semantic_version`` what it will be called.
    """

    kind: Kind
    code: str
    reasons: tuple[str, ...]
    candidate: Measured
    champion: Measured | None = None
    metric: str | None = None
    gain: Decimal | None = None
    required: Decimal | None = None
    evidence: str = ""
    approvals: tuple[Word, ...] = ()
    author: str | None = None
    ruled: str = ""
    gates: tuple[Gate, ...] = ()
    semantic_version: str = ""
    on_holdout: OnHoldout | None = None


Ruling = tuple[Kind, str, tuple[str, ...]]


def hold(code: str, *reasons: str) -> Ruling:
    """The ruling that leaves things as they are."""
    return "hold", code, reasons
