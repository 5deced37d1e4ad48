"""What people do to their models while a storm rages, and what must be true of it afterwards.

Each kind has a model of its own, so that what came of it can be counted: one is rolled back through
the API, one is paused and resumed, of one somebody moves Production by hand in MLflow.
"""

import itertools
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import httpx

from tests.acceptance.faults.invariants import await_drained
from tests.acceptance.faults.site import Site
from tests.models import client_of
from tests.servers import eventually

DRAIN_SECONDS = 180.0
ROLLED, PAUSED, BY_HAND = "rolled-back", "paused", "by-hand"
OPERATED = (ROLLED, PAUSED, BY_HAND)


class Scientists(threading.Thread):
    """They go on registering versions, each a little better or worse than the model's best."""

    def __init__(self, site: Site, seed: int, models: Sequence[str]) -> None:
        super().__init__(daemon=True)
        self.site, self.models = site, models
        self.random = random.Random(seed)  # noqa: S311  # a draw, no secret
        self.registered: list[tuple[str, str]] = []
        self.done = threading.Event()
        self._best = dict.fromkeys(models, 0.86)

    def run(self) -> None:
        while not self.done.wait(self.random.uniform(0.1, 0.8)):
            model = self.random.choice(self.models)
            auc = self._best[model] + self.random.uniform(-0.05, 0.06)
            self._best[model] = max(self._best[model], auc)
            with suppress(Exception):  # MLflow is frozen: they try again later, as people do
                self.registered.append((model, self.site.register(model, auc=auc)))


class Operators(threading.Thread):
    """They roll back, pause, resume and move Production by hand, until ``done``."""

    def __init__(self, site: Site, seed: int) -> None:
        super().__init__(daemon=True)
        self.site = site
        self.random = random.Random(seed)  # noqa: S311  # a draw, no secret
        self.done = threading.Event()
        self._numbers = itertools.count(1)
        self._headers = {"authorization": f"Bearer {site.token}"}
        # By the witness, so that it sees in which order Steward and people wrote.
        self._registry = client_of(site.witness.url)

    def run(self) -> None:
        acts: list[Callable[[], None]] = [self._roll_back, self._pause, self._resume, self._move]
        while not self.done.wait(self.random.uniform(0.5, 3)):
            act = self.random.choice(acts)
            with suppress(Exception):  # what they ask is away: they shrug and go on
                act()

    def end_pause(self) -> None:
        """Resume, whatever was paused; the receiver must answer by now."""

        def is_resumed() -> bool:
            with suppress(httpx.HTTPError):
                return self._post("/resume", {"model": PAUSED}) in (202, 409)
            return False

        eventually(is_resumed, 60, every_seconds=0.5)

    def leave_one(self) -> None:
        """Do what Steward asks for where two are in Production, once nothing of it is under way.

        MLflow archives what it finds there: of two that write at once, each may miss the other's.
        """
        await_polled(self.site)  # nobody delivers a move to another stage
        await_drained(self.site, BY_HAND, within=DRAIN_SECONDS)
        found = client_of(self.site.mlflow.url).search_model_versions(f"name='{BY_HAND}'")
        several = [str(v.version) for v in found if v.current_stage == "Production"][1:]
        told = self.site.events(model=BY_HAND, type="policy.violated")
        codes = {event["data"]["violation"] for event in told}
        assert not several or "two_in_production" in codes, f"nobody was told: {several}"
        for version in several:
            eventually(lambda version=version: self._archive(version), 60, every_seconds=0.5)

    def _roll_back(self) -> None:
        for _ in range(self.random.choice([1, 1, 2])):  # two of them at once, now and then
            reason = f"rollback {next(self._numbers)} of this storm"
            self._post(f"/models/{ROLLED}/rollback", {"reason": reason})

    def _pause(self) -> None:
        self._post("/pause", {"model": PAUSED, "reason": "we look at it"})

    def _resume(self) -> None:
        self._post("/resume", {"model": PAUSED})

    def _move(self) -> None:
        found = self._registry.search_model_versions(f"name='{BY_HAND}'")
        others = [str(v.version) for v in found if v.current_stage != "Production"]
        version = self.random.choice(sorted(others, key=int))
        if self.random.choice([True, False]):
            self._registry.set_registered_model_alias(BY_HAND, "champion", version)
        else:  # MLflow's client warns that stages are old
            self._transition(version, "Production")

    def _archive(self, version: str) -> bool:
        with suppress(httpx.HTTPError):
            self._transition(version, "Archived")
            return True
        return False

    def _transition(self, version: str, stage: str) -> None:
        body = {"name": BY_HAND, "version": version, "stage": stage}
        url = f"{self.site.witness.url}/api/2.0/mlflow/model-versions/transition-stage"
        whole = body | {"archive_existing_versions": stage == "Production"}
        httpx.post(url, json=whole, timeout=10, trust_env=False).raise_for_status()

    def _post(self, path: str, body: dict[str, str]) -> int:
        answer = httpx.post(
            f"{self.site.url}/api/v1{path}",
            json=body,
            headers=self._headers,
            timeout=10,
            trust_env=False,
        )
        return answer.status_code


def await_polled(site: Site) -> None:
    """Wait until a poller has read the whole registry as it is now.

    Where the one that polled was killed, another takes its lease over after half a minute.
    """
    before = eventually(lambda: _polls(site), DRAIN_SECONDS, every_seconds=0.5)

    def is_polled() -> bool:  # the first that ends may have begun before
        return any(count >= before[role] + 2 for role, count in _polls(site).items())

    eventually(is_polled, DRAIN_SECONDS, every_seconds=0.5)


def _polls(site: Site) -> dict[str, float]:
    """How many polls of each poller were completed; nothing while one does not answer."""
    name, pollers = "steward_polls_total", [r for r in site.roles if r.startswith("poller")]
    with suppress(httpx.HTTPError):
        return {role: site.metric(role, name, result="completed") for role in pollers}
    return {}


def await_known(site: Site, registered: Sequence[tuple[str, str]]) -> None:
    """Wait until the journal has every version; else what it lacks is counted as lost, later."""

    def are_known() -> bool:
        found = site.events(type="model_version.created")
        return set(registered) <= {(event["model"], event["version"]) for event in found}

    with suppress(AssertionError):
        eventually(are_known, DRAIN_SECONDS, every_seconds=0.5)


def assert_heard(site: Site, plain: Sequence[str], registered: Sequence[tuple[str, str]]) -> None:
    """Hold everything that people did, and what Steward says of it, against what it wrote."""
    assert_rolled_back_once_each(site, ROLLED)
    for model in (*plain, ROLLED, PAUSED):
        assert_past_is_known(site, model)
        assert_verdicts_hold(site, model)
    assert_explained(site, registered)
    for model in (*plain, *OPERATED):
        assert_receipts_hold(site, model)


def assert_rolled_back_once_each(site: Site, model: str) -> None:
    """Each request went back at most one step, to what was Production before, and is told.

    Automation promotes newer versions only: where Production went down, it was rolled back. One
    that took three workers with it may have gone back and was given up; people were told of that.
    """
    if _given_up(site, model, "rollback"):
        return
    wrote = [int(version) for version in site.witness.of(model, "stage", "Production")]
    left: set[int] = set()
    steps = 0
    for at, (before, after) in enumerate(itertools.pairwise(wrote), start=1):
        if after > before:
            continue
        past = (version for version in reversed(wrote[:at]) if version != before)
        expected = next((version for version in past if version not in left), None)
        assert after == expected, f"{model} went from {before} to {after}: {wrote}"
        left.add(before)
        steps += 1
    told = site.events(model=model, type="model_version.rolled_back")
    assert len(told) == steps, f"{steps} steps back, {len(told)} told: {wrote}"
    asked = {each["id"]: each for each in site.events(model=model, type="rollback.requested")}
    by = [each["causedby"] for each in told]
    assert len(set(by)) == len(by), "one request went back twice"
    assert set(by) <= asked.keys()
    for one, other in itertools.permutations(told, 2):
        asked_at = asked[other["causedby"]]["recordedat"]
        follows = other["data"]["before"] == one["data"]["after"]
        is_late = follows and asked_at < one["time"]
        assert not is_late or one["recordedat"] > other["recordedat"], (
            f"two asked at once, and Production went back twice: {one} {other}"
        )


def assert_past_is_known(site: Site, model: str) -> None:
    """Alias ``previous_champion`` names what was Production before, by the order of writes."""
    wrote = site.witness.of(model, "stage", "Production")
    aliases = client_of(site.mlflow.url).get_registered_model(model).aliases
    before = next((version for version in reversed(wrote) if version != wrote[-1]), None)
    found = aliases.get("previous_champion")
    assert (None if found is None else str(found)) == before, f"{model}: {wrote}"


def assert_verdicts_hold(site: Site, model: str) -> None:
    """What was rolled back from and did not become Production again says so.

    A promotion that was given up, though it had written, is replayed when another is Production.
    """
    wrote = site.witness.of(model, "stage", "Production")
    replayed = _given_up(site, model, "promote")
    was_rolled_back = bool(_given_up(site, model, "rollback"))
    for version in {v for v in wrote if v != wrote[-1]}:
        came = [at for at, each in enumerate(wrote[:-1]) if each == version]
        was_left = int(wrote[came[-1] + 1]) < int(version)
        expected = {"rolled_back" if was_left else "promoted"}
        expected |= {"held"} if version in replayed else set()
        expected |= {"promoted", "rolled_back"} if was_rolled_back else set()
        assert site.verdict(model, version) in expected, f"{model} v{version}: {wrote}"
    assert site.verdict(model, wrote[-1]) == "promoted", f"{model}: {wrote}"


def _given_up(site: Site, model: str, handler: str) -> set[str]:
    """The versions (empty: of none) whose dispatch of this handler was given up at first."""
    died = site.events(model=model, type="dispatch.died")
    return {each.get("version") or "" for each in died if each["data"]["handler"] == handler}


def assert_numbered_and_challenged(site: Site, models: Sequence[str]) -> None:
    """No two versions have one number; the challenger is newer than Production, or is none."""
    for model in models:
        client = client_of(site.mlflow.url)
        aliases = client.get_registered_model(model).aliases
        found = client.search_model_versions(f"name='{model}'")
        numbers = [v.tags["semantic_version"] for v in found if "semantic_version" in v.tags]
        assert len(set(numbers)) == len(numbers), f"{model}: {numbers}"
        promoted = {str(v.version) for v in found if "semantic_version" in v.tags}
        assert promoted >= {e["version"] for e in _promotions(site, model)}, model
        if "challenger" in aliases:
            assert int(aliases["challenger"]) > int(aliases["champion"]), f"{model}: {aliases}"


def _promotions(site: Site, model: str) -> list[dict[str, Any]]:
    return site.events(model=model, type="model_version.promoted")


def assert_explained(site: Site, registered: Sequence[tuple[str, str]]) -> None:
    """Explain answers for every version."""
    for model, version in registered:
        answer = site.api.get(f"/models/{model}/explain", params={"version": version})
        assert answer.is_success, f"{model} v{version}: {answer.text}"


def assert_receipts_hold(site: Site, model: str) -> None:
    """The model's receipts are one chain, as the command that checks them says."""
    file = site.directory / f"{model}.receipts"
    wrote = site.cli("receipts", "export", model, "--output", str(file))
    assert wrote.returncode == 0, wrote.stdout + wrote.stderr
    checked = site.cli("receipts", "verify", str(file))
    assert checked.returncode == 0, checked.stdout + checked.stderr
