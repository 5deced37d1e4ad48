"""Gather what a decision rests on, from registry and journal, and decide.

Called by ``promote``, each time that it looks: the decision is on the present, not on what the
validation found.
"""

from dataclasses import replace
from typing import NamedTuple

from handlers.approvals import read as read_said
from handlers.decisions import decide, is_older
from handlers.examined import OnHoldout, is_by_holdout
from handlers.gates import judge_all, measure
from handlers.production import Production
from handlers.rulings import Decision, Facts, Measured, Request
from steward.events import Event, EventType
from steward.ports import Evidence, Services, VersionInfo


class _Side(NamedTuple):
    """A version, and what the registry holds of it now."""

    info: VersionInfo
    evidence: Evidence


def weigh(event: Event, services: Services, found: Production, version: str) -> Decision:
    """Read the evidence of both sides, and decide; with it every gate as it stands now."""
    champion, on_holdout, problem = None, None, ""
    policy = services.policy
    is_numbered = policy.tags.semantic_version
    asks_signature = is_numbered or any(gates.signature for gates in policy.all_gates)
    candidate = _read(services, found.versions[version], with_signature=asks_signature)
    if found.version and found.version != version:
        its = _read(services, found.versions[found.version], with_signature=is_numbered)
        champion = _measured(services, its)
        on_holdout, problem = _on_holdout(event, services, found, candidate)
    facts = Facts(
        found,
        services.history.rejected_by_person(found.model),
        services.history.rolled_back_from(found.model),
        on_holdout,
        problem,
        said=read_said(services.history.said(found.model, version)),
        author=candidate.evidence.lineage.get("user"),
        identity=_identity(event, candidate.info),
        request=_request(event, services),
    )
    measured = _measured(services, candidate)
    decision = decide(policy, measured, champion, facts)
    gates = judge_all(policy, candidate.info, candidate.evidence, measured.metrics)
    return replace(decision, gates=gates)


def _read(services: Services, info: VersionInfo, *, with_signature: bool) -> _Side:
    return _Side(info, services.registry.evidence(info, with_signature=with_signature))


def _measured(services: Services, side: _Side) -> Measured:
    metrics = measure(services.policy, side.evidence, side.info)
    return Measured(side.info.version, metrics, side.evidence.signature)


def _request(event: Event, services: Services) -> Request | None:
    """The ``steward promote`` that this validation comes from, if it does."""
    cause = next(iter(services.history.chain(event.id)[1:2]), None)
    if cause is None or cause.type != EventType.PROMOTION_REQUESTED:
        return None
    return Request(
        actor=str(cause.data.get("actor")),
        reason=str(cause.data.get("reason") or ""),
        is_override=bool(cause.data.get("override")),
        passed_over=tuple(event.data.get("passed_over", ())),
    )


def _identity(event: Event, info: VersionInfo) -> dict[str, str]:
    """What tells this version, examined so, from another: an approval holds for it alone."""
    checks = (f"{one['name']} {one['status']}" for one in event.data.get("checks") or ())
    return {
        "created_at": info.created_at.isoformat(),
        "run_id": info.run_id or "",
        "model_sha256": str(event.data.get("model_sha256") or ""),
        "checks": ", ".join(check for check in checks if not check.startswith("latency")),
    }


def _on_holdout(
    event: Event, services: Services, found: Production, candidate: _Side
) -> tuple[OnHoldout | None, str]:
    """The validation's comparison, where Production and policy are the same still; or a new one.

    With it, or in its place, why there is none: also a check that fails beside this Production,
    since the version passed them beside another.
    """
    if not is_by_holdout(services.policy) or not _may_be_compared(found, candidate.info.version):
        return None, ""
    if kept := event.data.get("comparison"):
        compared = OnHoldout.read(kept)
        if (compared.champion, compared.policy) == (found.version, services.policy.ref):
            return compared, ""
    from handlers.examination import examine  # numbers: 2 s to import

    run_id = candidate.evidence.lineage.get("run_id")
    anew = examine(services, candidate.info, run_id, found.versions[found.version or ""])
    if anew.faults:
        return None, f"examined anew beside Production version {found.version}: {anew.faults}"
    return anew.on_holdout, ""


def _may_be_compared(found: Production, version: str) -> bool:
    """Whether no rule has decided already, so that scoring both is not for nothing."""
    return not found.problem and not is_older(version, found.version or "")
