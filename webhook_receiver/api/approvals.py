"""What people say about a version: request approval, approve, reject, promote; and what waits."""

from typing import Any

from fastapi import APIRouter
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from handlers.approvals import Said, count, read, why_not
from steward.events import Event, EventType, ModelRef
from steward.journal import approvals, catalog, verdicts
from steward.journal.audit import Role
from steward.journal.catalog import KnownModel
from steward.journal.facets import EXISTS
from steward.policy import Policy
from steward.ports import Verdict
from webhook_receiver.api.access import Caller, ThisCaller
from webhook_receiver.api.models import ThisPlace, find_model, unknown_version
from webhook_receiver.api.query import KNOWN_PARAMETERS, example, shown
from webhook_receiver.problems import ProblemError
from webhook_receiver.room import Room, ThisRoom

router = APIRouter(prefix="/api/v1", tags=["approvals"])
_ID = "019a9d5e-4c1f-7c3a-8f0e-2f9f5f3f9a11"
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: shown({"event_id": _ID}, "Journalled; follow it by GET /api/v1/events/{id}"),
    409: {"description": "What is known already forbids it"},
}


class WordBody(BaseModel):
    """Why; it is written down and told."""

    model_config = ConfigDict(extra="forbid")

    comment: str = Field("", max_length=2000, validation_alias=AliasChoices("comment", "reason"))


class PromoteBody(WordBody):
    """``override`` passes a person's rejection and failed gates; it needs an approver."""

    override: bool = False


class _Subject:
    """One version, as the journal knows it, and who speaks about it."""

    def __init__(
        self, room: Room, caller: Caller, role: Role, model: ModelRef, version: str
    ) -> None:
        caller.need(role, model.name)
        self.room, self.caller, self.version = room, caller, version
        self.known: KnownModel = find_model(room, caller, model)
        with room.journal.read() as connection:
            if not catalog.version_facets(connection, self.known, version).get(EXISTS):
                raise unknown_version(self.known.model, version)
            self.policy: Policy = catalog.governing(connection, self.known)
            self.said: Said = read(approvals.said(connection, self.known.model, version))
            self.is_rejected = version in approvals.rejected(connection, self.known.model)
            self.verdict: Verdict | None = verdicts.standing_verdict(
                connection, self.known.model, version
            )
        if self.known.production == version:
            raise self.refusal("already_production", "is Production already")

    def refusal(self, code: str, why: str) -> ProblemError:
        """409 with a sentence about the version."""
        return ProblemError(409, code, f"Version {self.version} of {self.known.model} {why}.")

    def refuse_rejected(self) -> None:
        """ProblemError (409) where a person said no before."""
        if self.is_rejected:
            raise self.refusal(
                "rejected_by_person", "was rejected by a person; only an override promotes it"
            )

    def record(self, kind: EventType, body: WordBody, **data: Any) -> dict[str, Any]:
        """Journal it and hint."""
        event_id, hints = approvals.record(
            self.room.journal,
            kind,
            self.known.model,
            self.version,
            actor=self.caller.name,
            data={"reason": body.comment, **data},
        )
        self.room.hint(hints)
        return {"event_id": event_id}


@router.post(
    "/models/{name}/versions/{version}/request-approval",
    summary="Ask people to approve a version",
    status_code=202,
    responses=_ACCEPTED,
)
def request_approval(  # noqa: PLR0917  # FastAPI fills them in
    room: ThisRoom, caller: ThisCaller, name: str, version: str, place: ThisPlace, body: WordBody
) -> dict[str, Any]:
    """The version is judged again; what the rules would hold then waits for approval."""
    subject = _Subject(room, caller, "operator", place.model(name), version)
    subject.refuse_rejected()
    if subject.verdict and subject.verdict.verdict == "awaiting_approval":
        raise subject.refusal("already_requested", "waits for approval already")
    return subject.record(EventType.APPROVAL_REQUESTED, body)


@router.post(
    "/models/{name}/versions/{version}/approve",
    summary="Approve a version",
    status_code=202,
    responses=_ACCEPTED,
)
def approve(  # noqa: PLR0917  # FastAPI fills them in
    room: ThisRoom, caller: ThisCaller, name: str, version: str, place: ThisPlace, body: WordBody
) -> dict[str, Any]:
    """It holds for the evidence and the policy of the question, and for nothing else."""
    subject = _Subject(room, caller, "approver", place.model(name), version)
    subject.refuse_rejected()
    question = subject.said.question
    if question is None or not _is_open(subject.verdict, question):
        raise subject.refusal("not_requested", "does not wait for approval")
    if why := why_not(caller.name, subject.policy, question.data.get("author")):
        raise subject.refusal("may_not_approve", f"is not for {caller.name} to approve: {why}")
    basis = {key: question.data[key] for key in ("evidence", "policy")}
    if any(
        (word.actor, word.evidence, word.policy) == (caller.name, *basis.values())
        for word in subject.said.approvals
    ):
        raise subject.refusal("already_approved", f"has the approval of {caller.name} already")
    return subject.record(EventType.APPROVAL_APPROVED, body, **basis)


@router.post(
    "/models/{name}/versions/{version}/reject",
    summary="Reject a version, for good",
    status_code=202,
    responses=_ACCEPTED,
)
def reject(  # noqa: PLR0917  # FastAPI fills them in
    room: ThisRoom, caller: ThisCaller, name: str, version: str, place: ThisPlace, body: WordBody
) -> dict[str, Any]:
    """`comment` is required. Only an explicit override promotes the version after this."""
    subject = _Subject(room, caller, "approver", place.model(name), version)
    if not body.comment.strip():
        raise ProblemError(422, "reason_needed", "A rejection needs a comment that says why.")
    subject.refuse_rejected()
    return subject.record(
        EventType.APPROVAL_REJECTED,
        body,
        verdict="rejected",
        code="rejected_by_person",
        reasons=[f"rejected by {caller.name}: {body.comment}"],
        policy=subject.policy.ref,
    )


@router.post(
    "/models/{name}/versions/{version}/promote",
    summary="Promote a version that the rules hold",
    status_code=202,
    responses=_ACCEPTED,
)
def promote(  # noqa: PLR0917  # FastAPI fills them in
    room: ThisRoom, caller: ThisCaller, name: str, version: str, place: ThisPlace, body: PromoteBody
) -> dict[str, Any]:
    """Past the margin, not past failed gates or a rejection: these need `override` and a comment.

    Where the policy asks for approval it asks still.
    """
    if body.override:
        subject = _Subject(room, caller, "approver", place.model(name), version)
        if not body.comment.strip():
            raise ProblemError(422, "reason_needed", "An override needs a comment that says why.")
    else:
        subject = _Subject(room, caller, "operator", place.model(name), version)
        subject.refuse_rejected()
    return subject.record(EventType.PROMOTION_REQUESTED, body, override=body.override)


@router.get(
    "/approvals",
    dependencies=[KNOWN_PARAMETERS],
    summary="What waits for a person",
    responses=example(
        {
            "items": [
                {
                    "model": "fraud",
                    "registry": "default",
                    "workspace": "",
                    "version": "7",
                    "event_id": _ID,
                    "reasons": ["there is no Production yet"],
                    "required": 2,
                    "from": ["ada", "bob"],
                    "approved_by": [{"actor": "ada", "at": "2026-03-01T12:00:00+00:00"}],
                    "requested_by": "eve",
                    "author": "carl",
                    "requested_at": "2026-03-01T11:00:00+00:00",
                    "expires_at": "2026-03-04T11:00:00+00:00",
                    "evidence": "9f86d081884c7d65",
                    "policy": "fraud@3f9a11",
                }
            ]
        }
    ),
)
def list_approvals(room: ThisRoom, caller: ThisCaller) -> dict[str, Any]:
    """Newest question first. `from` empty: any approver may answer."""
    items = []
    with room.journal.read() as connection:
        for question in approvals.questions(connection):
            model, version = question.model, question.version
            if model is None or version is None or not caller.may_read(model.name):
                continue
            said = read(approvals.said(connection, model, version))
            standing = verdicts.standing_verdict(connection, model, version)
            is_last = said.question is not None and said.question.id == question.id
            known = catalog.find_model(connection, model) if is_last else None
            if known and _is_open(standing, question):
                items.append(_item(question, said, catalog.governing(connection, known)))
    return {"items": items}


def _is_open(standing: Verdict | None, question: Event) -> bool:
    """Whether it still waits: also while an approval that was given is looked at."""
    if standing is None:
        return False
    is_asked = standing.verdict == "awaiting_approval" and standing.event_id == question.id
    return is_asked or standing.verdict == "waiting"


def _item(question: Event, said: Said, policy: Policy) -> dict[str, Any]:
    data, model = question.data, question.model
    tally = count(said, policy, evidence=data["evidence"], author=data.get("author"))
    return {
        "model": model.name if model else None,
        "registry": model.registry if model else None,
        "workspace": model.workspace if model else None,
        "version": question.version,
        "event_id": question.id,
        "reasons": list(data.get("reasons", ())),
        "required": data["required"],
        "from": data["from"],
        "approved_by": [
            {"actor": word.actor, "at": word.at, "comment": word.reason} for word in tally.valid
        ],
        "not_counted": list(tally.void),
        "requested_by": said.asked.actor if said.asked else "steward",
        "author": data.get("author"),
        "requested_at": question.recorded_at,
        "expires_at": data["expires_at"],
        "evidence": data["evidence"],
        "policy": data["policy"],
    }
