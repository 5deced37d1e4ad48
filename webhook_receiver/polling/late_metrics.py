"""Looks for metrics that were logged after a version was registered; no registry tells of them.

Asked for are versions whose validation waits, and those lately held as incomplete; no others.
"""

from steward.errors import NotFoundError, PermanentError
from steward.journal.facets import METRICS
from steward.journal.looking import look
from steward.journal.polls import Version, awaiting_metrics
from steward.journal.readings import record_facets
from steward.ports import Evidence, Reading
from webhook_receiver.polling.means import Means

WAITING_A_POLL = 50
HELD_A_POLL = 10


def ask_for_late_metrics(
    means: Means, asked_to: tuple[str, ...], problems: list[str]
) -> tuple[str, ...]:
    """Read the metrics of some versions; returns up to which held one, for the next poll.

    What the registry refuses to tell, though it answers, is added to ``problems``.
    """
    awaiting = awaiting_metrics(means.journal, means.registry.name)
    held = sorted(awaiting.held, key=_key)
    following = ([version for version in held if _key(version) > asked_to] or held)[:HELD_A_POLL]
    found: list[Reading] = []
    for version in awaiting.waiting[:WAITING_A_POLL] + following:
        means.go_on()
        try:
            reading = _read(means, version)
        except NotFoundError:
            continue  # deleted: the sweep will say so
        except PermanentError as error:
            problems.append(f"{version[0]} {version[1]}: {error}")
            continue
        if reading:
            found.append(reading)
    if found:
        means.hint(record_facets(means.journal, found))
    return _key(following[-1]) if following else ()


def metrics_facet(evidence: Evidence) -> dict[str, float | list[float | None] | None] | None:
    """What was logged, by origin, name and dataset; None where nothing was.

    Tags have events of their own. Values logged under one name on several runs are a list; NaN and
    infinity are None.
    """
    values: dict[str, set[float | None]] = {}
    for metric in evidence.metrics:
        if metric.origin != "tag":
            dataset = f"@{metric.dataset}" if metric.dataset else ""
            values.setdefault(f"{metric.origin}/{metric.name}{dataset}", set()).add(metric.value)
    several = {
        name: sorted(found, key=lambda value: (value is not None, value or 0.0))
        for name, found in sorted(values.items())
    }
    return {name: v if len(v) > 1 else v[0] for name, v in several.items()} or None


def _read(means: Means, which: Version) -> Reading | None:
    """The metrics, where they are not as we knew. Before the first reading none were known."""
    model, number = which
    before = look(means.journal, model, subjects=[number])
    value = metrics_facet(means.registry.evidence(means.registry.version(model, number)))
    if value is None or value == before.value(number, METRICS):
        return None
    return before.reading(number, METRICS, value)


def _key(version: Version) -> tuple[str, ...]:
    model, number = version
    return model.workspace, model.name, number
