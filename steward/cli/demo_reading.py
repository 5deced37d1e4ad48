"""What Steward and its replicas say of a version, over HTTP; `steward demo` compares with it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from steward.cli.api_client import Api, path_of
from steward.errors import NotFoundError, StewardError
from steward.events import EventType
from steward.keepalive import KEEPALIVE_SECONDS

_MEASURED = re.compile(r"^\w+ [\d.]+ is ")
WAIT_SECONDS = 2
_RECORDED_BY = {
    "promoted": EventType.PROMOTED,
    "held": EventType.HELD,
    "rejected": EventType.REJECTED,
}


class Reading:
    """Reads the receiver's API and each replica's own word, of one model."""

    def __init__(self, api: Api, model: str, replicas: Sequence[str]) -> None:
        self.replicas = tuple(replicas)
        self._api = api
        self._model = model
        limits = httpx.Limits(keepalive_expiry=KEEPALIVE_SECONDS)
        self._http = httpx.Client(trust_env=False, timeout=10, limits=limits)

    def verdict(self, version: str) -> str | None:
        """The verdict, None while there is none; the receiver answers as soon as it has it."""
        path = path_of("models", self._model, "versions", version, "verdict")
        try:
            answer = self._api.get(path, {"wait": WAIT_SECONDS}, wait_seconds=WAIT_SECONDS)
        except NotFoundError:
            return None  # Steward has not heard of it yet
        verdict = answer["verdict"]
        return None if verdict in (None, "waiting") else str(verdict)

    def decision(self, version: str, verdict: str) -> Mapping[str, Any]:
        """The numbers behind a verdict: the data of the event that recorded it."""
        if verdict not in _RECORDED_BY:
            return {}
        decision: Mapping[str, Any] = self._event(version, _RECORDED_BY[verdict])["data"]
        return decision

    def seen_by(self, version: str) -> str:
        """How Steward came to know of a version: webhook, poll or both."""
        return str(self._event(version, EventType.VERSION_CREATED)["seenby"])

    def dead(self) -> list[str]:
        """Events with a handler that gave up."""
        items = self._api.get("/events", {"status": "dead"})["items"]
        return [f"{item['type']} of version {item['version']} ({item['id']})" for item in items]

    def serving(self) -> tuple[str, ...]:
        """The version that each replica says it serves; "-" for none."""
        answers = [self._http.get(f"{url}/model").raise_for_status() for url in self.replicas]
        return tuple(str(answer.json()["version"] or "-") for answer in answers)

    def _event(self, version: str, event_type: EventType) -> Mapping[str, Any]:
        wanted = {"model": self._model, "version": version, "type": event_type}
        answer = self._api.get("/events", wanted)
        if not answer["items"]:
            raise StewardError(f"There is no event {event_type} of version {version}.")
        event: Mapping[str, Any] = answer["items"][0]
        return event


def against(decision: Mapping[str, Any]) -> str:
    """What the version was compared with: Production's version and number."""
    champion = decision.get("champion")
    if not champion:
        return "-"
    return f"v{champion['version']} {float(champion['value']):.4f}"


def numbers(decision: Mapping[str, Any]) -> str:
    """Why, in the few words that fit into a table."""
    gain, margin = decision.get("gain"), decision.get("margin")
    if gain is None or margin is None:
        reason = str(next(iter(decision.get("reasons", ())), "no reason was recorded"))
        return _MEASURED.sub("", reason).split("; ")[0]  # the number has a column of its own
    relation = "at least" if float(gain) >= float(margin) else "less than"
    return f"{float(gain):+.4f}, {relation} {margin}"
