"""The fingerprint of what a decision rests on, so that an approval holds for this and nothing else.

Called by ``decisions``. Pure. No timings go in: the same facts read again give the same hash.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from handlers.metrics import Found, Lookup, tell


def digest_of(
    identity: Mapping[str, Any],
    candidate: Mapping[str, Lookup],
    champion: tuple[str, Mapping[str, Lookup]] | None,
    more: Mapping[str, Any],
) -> str:
    """Sha256 (hex) of the version's identity, both sides' metrics, and what else was weighed."""
    document = {
        "version": dict(identity),
        "candidate": _metrics(candidate),
        "champion": champion and {"version": champion[0], "metrics": _metrics(champion[1])},
        "more": dict(more),
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _metrics(found: Mapping[str, Lookup]) -> dict[str, Any]:
    return {name: _metric(value) for name, value in found.items()}


def _metric(value: Lookup) -> list[str | None]:
    if isinstance(value, Found):
        return [value.name, tell(value.value), value.dataset, value.dataset_digest]
    return [type(value).__name__]
