"""Keeps an examination beside the version in the registry: metrics, reports, tags by policy.

Called by ``validate``. What cannot be written delays no verdict: the journal has it all.
"""

import json
import math
from dataclasses import asdict
from typing import Any

from handlers.examined import Examination
from handlers.report.attempts import attempted
from steward.errors import PermanentError
from steward.policy import Mode
from steward.ports import Intent, ModelStore, Services, VersionInfo

METRICS = "steward/"
"""Begins the name of each metric that Steward logs; such metrics are never evidence."""
TAGS = "steward.check."
PAGE = "report.html"


def is_kept(services: Services) -> bool:
    """Whether anything is written at all: a policy that observes writes nothing."""
    return services.mode != Mode.OBSERVE and services.store is not None


def keep(services: Services, version: VersionInfo, found: Examination) -> str | None:
    """Write what was found; the address of the readable report, None where there is none.

    TransientError when the registry is away; then all is done again, but not for that report.
    """
    store = services.store
    if store is None or not is_kept(services):
        return None
    readable = None
    try:
        if found.holdout is not None:
            store.keep_metrics(
                version,
                _numbers(found),
                dataset=found.holdout.name,
                digest=found.holdout.sha256[:36],
            )
        if store.keep_report(version, {"report.json": _json(version, found)}):
            readable = attempted("page", lambda: _keep_page(services, store, version, found), None)
    except PermanentError:
        pass  # a version without a living run has no place for it
    if services.policy.tags.checks:
        _tag(services, version, found)
    return readable


def _keep_page(
    services: Services, store: ModelStore, version: VersionInfo, found: Examination
) -> str | None:
    from handlers.report.page import Subject, render  # matplotlib: 0.3 s to import

    subject = Subject(version.model.name, version.version, services.policy, services.clock.now())
    folder = store.keep_report(version, {PAGE: render(subject, found)})
    return f"{folder}/{PAGE}" if folder else None


def _numbers(found: Examination) -> dict[str, float]:
    return {
        f"{METRICS}{result.name}": result.value
        for result in found.results
        if result.value is not None and math.isfinite(result.value)
    }


def _json(version: VersionInfo, found: Examination) -> bytes:
    report: dict[str, Any] = {
        "model": version.model.name,
        "version": version.version,
        "model_sha256": found.model_sha256,
        "sandbox": found.level,
        "holdout": asdict(found.holdout) if found.holdout else None,
        "checks": [result.as_dict() for result in found.results],
        "comparison": found.on_holdout.as_dict() if found.on_holdout else None,
    }
    return json.dumps(report, indent=2, sort_keys=True).encode()


def _tag(services: Services, version: VersionInfo, found: Examination) -> None:
    """One tag a check, only where it says something else than before."""
    wanted = {f"{TAGS}{result.name}": result.status for result in found.results}
    different = {key: text for key, text in wanted.items() if version.tags.get(key) != text}
    if not different:
        return
    model, number = version.model, version.version
    services.ledger.intend(
        [Intent(model, number, f"tag:{key}", text) for key, text in different.items()]
    )
    for key, text in different.items():
        services.registry.set_version_tag(model, number, key, text)
