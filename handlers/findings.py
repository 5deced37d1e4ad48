"""Keeps an examination beside the version in the registry: metrics, reports, tags by policy.

Called by ``validate``. What cannot be written delays no verdict: the journal has it all.
"""

import json
import math
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from handlers.examined import Examination
from handlers.report.attempts import attempted
from handlers.tagging import write_tags
from steward.errors import PermanentError
from steward.logs import get_logger
from steward.policy import Mode
from steward.ports import ModelStore, Services, VersionInfo

METRICS = "steward/"
"""Begins the name of each metric that Steward logs; such metrics are never evidence."""
TAGS = "steward.check."
PAGE = "report.html"
_REFUSED = re.compile(r"[^/\w.\- :]")
"""What MLflow takes neither in the name of a metric nor in the key of a tag."""
_LONGEST_NAME = 250
_LONGEST_ERROR = 300
_Written = TypeVar("_Written")


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
    names = kept_names(result.name for result in found.results)
    _written("metrics", lambda: _keep_metrics(store, version, found, names))
    readable = _written("report", lambda: _keep_reports(services, store, version, found))
    if services.policy.tags.checks:
        _written("tags", lambda: _tag(services, version, found, names))
    return readable


def kept_names(names: Iterable[str]) -> dict[str, str]:
    """Each name as MLflow takes it: ``drift.width (cm)`` is ``drift.width _cm_``.

    Two that would then be one are told apart by a number, in their order.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        plain = kept = _plain(name)
        number = 1
        while kept in taken:
            number += 1
            ending = f"_{number}"
            kept = plain[: _room() - len(ending)] + ending
        taken.add(kept)
        found[name] = kept
    return found


def _plain(name: str) -> str:
    kept = _REFUSED.sub("_", name)[: _room()]
    is_path = posixpath.normpath(kept) == kept and not kept.startswith(("/", ".."))
    return kept if is_path else kept.replace("/", "_")


def _room() -> int:
    return _LONGEST_NAME - max(len(METRICS), len(TAGS))


def _written(part: str, write: Callable[[], _Written]) -> _Written | None:
    """What ``write`` gives; None and a warning where the registry refuses it for good."""
    try:
        return write()
    except PermanentError as error:
        told = str(error)[:_LONGEST_ERROR]
        get_logger().warning("examination_not_kept", part=part, error=told)
        return None


def _keep_metrics(
    store: ModelStore, version: VersionInfo, found: Examination, names: Mapping[str, str]
) -> None:
    if found.holdout is not None:
        numbers = {
            f"{METRICS}{names[result.name]}": result.value
            for result in found.results
            if result.value is not None and math.isfinite(result.value)
        }
        digest = found.holdout.sha256[:36]
        store.keep_metrics(version, numbers, dataset=found.holdout.name, digest=digest)


def _keep_reports(
    services: Services, store: ModelStore, version: VersionInfo, found: Examination
) -> str | None:
    """The address of the readable one; None where only that for programs could be kept."""
    if not store.keep_report(version, {"report.json": _json(version, found)}):
        return None
    return attempted("page", lambda: _keep_page(services, store, version, found), None)


def _keep_page(
    services: Services, store: ModelStore, version: VersionInfo, found: Examination
) -> str | None:
    from handlers.report.page import Subject, render  # matplotlib: 0.3 s to import

    subject = Subject(version.model.name, version.version, services.policy, services.clock.now())
    folder = store.keep_report(version, {PAGE: render(subject, found)})
    return f"{folder}/{PAGE}" if folder else None


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


def _tag(
    services: Services, version: VersionInfo, found: Examination, names: Mapping[str, str]
) -> None:
    """One tag a check, only where it says something else than before."""
    wanted = {f"{TAGS}{names[result.name]}": result.status for result in found.results}
    different: dict[str, str | None] = {
        key: text for key, text in wanted.items() if version.tags.get(key) != text
    }
    write_tags(services, version.model, version.version, different)
