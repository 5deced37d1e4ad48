"""Fault 26: Slack asks to wait, fails, hangs, or takes a message and says no.

Scaled: Slack asks for 4 s, where the first retry would come after 1 s; a hang lasts 12 s, where
a sender waits for 10 s.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from tests.acceptance.faults.invariants import POSSIBLY_TWICE, assert_sound
from tests.acceptance.faults.site import Site
from tests.servers import Answer, eventually

ASKED_SECONDS = 4.0
REFUSED = Answer(429, b"rate_limited", {"retry-after": f"{ASKED_SECONDS:g}"})
FAILED = Answer(500, b"server_error")
HANGS = Answer(200, b"ok", after_seconds=12)
DENIED = Answer(200, json.dumps({"ok": False, "error": "channel_is_archived"}).encode())


@dataclass
class Refusing:
    """Answers the first ``count`` requests so, and keeps when each came, and what ``look`` saw."""

    answer: Answer
    count: int
    look: Callable[[], object] = lambda: None
    at: list[float] = field(default_factory=list)
    seen: list[object] = field(default_factory=list)

    def __call__(self) -> Answer | None:
        self.at.append(time.monotonic())
        self.seen.append(self.look())
        return self.answer if len(self.at) <= self.count else None


def promote_while(site: Site, model: str, refuses: Callable[[], Answer | None]) -> str:
    """Register a version; it is served by all although Slack is as it is."""
    site.slack.refuses = refuses
    version = site.register(model, auc=0.9)
    site.await_verdict(model, version, "promoted", within=8)
    return version


@pytest.mark.parametrize(
    ("answer", "is_flagged"),
    [(REFUSED, False), (FAILED, True), (HANGS, True)],
    ids=["429", "500", "hang"],
)
def test_26_slack_is_away_for_a_moment(
    site: Site, name: str, answer: Answer, *, is_flagged: bool
) -> None:
    with site.replicas(name) as fleet:
        refusing = Refusing(answer, count=1, look=lambda: [replica.version for replica in fleet])
        version = promote_while(site, name, refusing)

        eventually(lambda: site.slack.titles(name), 25)
        assert_sound(site, name, fleet=fleet)

    assert refusing.seen == [[version] * 3] * 2  # none waited for Slack
    if answer is REFUSED:
        assert refusing.at[1] - refusing.at[0] >= ASKED_SECONDS
    assert [POSSIBLY_TWICE in body for body in site.slack.bodies(name)] == [is_flagged]


def test_26_slack_is_left_in_peace_while_many_wait(site: Site, name: str) -> None:
    refusing = Refusing(FAILED, count=1000)
    site.slack.refuses = refusing
    models = [f"{name}-{n}" for n in range(6)]
    for model in models:
        site.register(model, auc=0.9)
    for model in models:
        site.await_verdict(model, "1", "promoted")
    eventually(lambda: len(refusing.at) >= 3, 20)
    pauses = [later - earlier for earlier, later in pairwise(refusing.at)]
    assert len(refusing.at) < 2 * len(models)  # each alone would have tried twice in 2 s
    assert sum(pause < 0.8 for pause in pauses) <= 2, pauses  # those that had begun with the first

    site.slack.refuses = lambda: None

    assert_sound(site, *models)
    assert all(len(site.slack.titles(model)) == 1 for model in models)


def test_26_slack_takes_no_such_message_and_is_asked_again(site: Site, name: str) -> None:
    refusing = Refusing(DENIED, count=1)
    version = promote_while(site, name, refusing)
    rollout = eventually(lambda: site.events(model=name, type="rollout.finished"), 10)[0]
    eventually(lambda: site.get(f"/events/{rollout['id']}")["status"] == "dead", 10)
    assert len(refusing.at) == 1
    assert "channel_is_archived" in str(site.get(f"/events/{rollout['id']}"))

    replayed = site.operate("events", "replay", rollout["id"], "--reason", "unarchived")

    assert replayed.returncode == 0, replayed.stderr
    eventually(lambda: site.slack.titles(name), 10)
    assert POSSIBLY_TWICE not in site.slack.bodies(name)[0]
    assert_sound(site, name)
    assert site.verdict(name, version) == "promoted"
