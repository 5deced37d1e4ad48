"""GET .../receipts and /api/v1/receipts/{hash}: what was decided, as documents that can be checked.

Answered as the journal keeps them; `steward receipts export` writes a file of them.
"""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from steward.journal import receipts
from steward.journal.receipts import Kept
from webhook_receiver.api.access import ThisCaller
from webhook_receiver.api.models import ThisPlace, find_model
from webhook_receiver.api.query import KNOWN_PARAMETERS, example
from webhook_receiver.problems import ProblemError
from webhook_receiver.room import ThisRoom

router = APIRouter(prefix="/api/v1", tags=["receipts"], dependencies=[KNOWN_PARAMETERS])

_HASH = "9f2c7d0f4f5d1be1b0a5d9d2b7c1e8f3a64b8c0d5e7f90123456789abcdef012"
_RECEIPT = {
    "schema": "steward.receipt/1",
    "installation": "019a9d5e-4c1f-7c3a-8f0e-2f9f5f3f0000",
    "software": {"name": "steward", "version": "0.1.0"},
    "registry": "default",
    "workspace": "",
    "model": "fraud",
    "version": "7",
    "sequence": 1,
    "previous": None,
    "time": "2026-03-01T12:00:02+00:00",
    "event": {
        "id": "019a9d5e-4c1f-7c3a-8f0e-2f9f5f3f9a11",
        "type": "promotion.held",
        "source": "steward",
        "before": None,
        "after": None,
    },
    "decision": {"verdict": "held", "code": "below_margin"},
    "cause": {"id": "019a9d5e-4c1f-7c3a-8f0e-2f9f5f3f9a10", "type": "model_version.validated"},
    "policy": {"ref": "fraud@3f9a11b2c3d4", "hash": "3f9a11b2c3d4"},
}


@router.get(
    "/models/{name}/receipts",
    summary="The receipts of a model's decisions, oldest first",
    responses=example(
        {
            "items": [{"hash": _HASH, "receipt": _RECEIPT}],
            "head": {"hash": _HASH, "sequence": 1},
            "next_cursor": None,
        }
    ),
)
def list_receipts(  # noqa: PLR0917  # FastAPI fills them in
    room: ThisRoom,
    caller: ThisCaller,
    name: str,
    place: ThisPlace,
    version: Annotated[str | None, Query(max_length=64)] = None,
    cursor: Annotated[int, Query(ge=0, description="Sequence number to go on after")] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    texts: Annotated[bool, Query(description="Also the policies' texts, by hash")] = False,
) -> dict[str, Any]:
    """Each item is a whole receipt; `head` is the newest of the model, whatever the version.

    With `texts=true` the answer has `policies`: the text of each policy file named, by its sha256.
    """
    known = find_model(room, caller, place.model(name))
    with room.journal.read() as connection:
        found = receipts.page(connection, known.model, version=version, after=cursor, limit=limit)
        head = receipts.head_of(connection, known.model)
        named = [each.policy_hash for each in found] if texts else []
        policies = receipts.policy_texts(connection, named)
    answer = {
        "items": [_shown(each) for each in found],
        "head": {"hash": head.hash, "sequence": head.sequence} if head else None,
        "next_cursor": found[-1].sequence if len(found) == limit else None,
    }
    return answer | ({"policies": policies} if texts else {})


@router.get(
    "/receipts/{digest}",
    summary="One receipt by its hash, with the text of its policy",
    responses=example({"hash": _HASH, "receipt": _RECEIPT, "policy_text": "version: 1\n"}),
)
def show_receipt(
    room: ThisRoom,
    caller: ThisCaller,
    digest: Annotated[
        str,
        Path(pattern="^[0-9a-f]{8,64}$", description="The hash, or its first digits (8 or more)"),
    ],
) -> dict[str, Any]:
    """`hash` is the sha256 of `receipt` in the form of RFC 8785, `policy.hash` that of the text."""
    with room.journal.read() as connection:
        found = [
            each
            for each in receipts.beginning_with(connection, digest)
            if caller.may_read(each.model.name)
        ]
        if not found:
            raise ProblemError(404, "unknown_receipt", f"The journal has no receipt {digest}.")
        if len(found) > 1:
            detail = f"Several receipts begin with {digest}; give more digits."
            raise ProblemError(422, "ambiguous", detail)
        [kept] = found
        policies = receipts.policy_texts(connection, [kept.policy_hash])
    return _shown(kept) | {"policy_text": policies.get(kept.policy_hash or "")}


def _shown(kept: Kept) -> dict[str, Any]:
    return {"hash": kept.hash, "receipt": json.loads(kept.text)}
