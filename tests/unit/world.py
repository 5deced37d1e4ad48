"""One model in a fake registry, with a policy, replicas and a journal: what handlers are run in."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from steward.errors import TransientError
from steward.events import Event, EventType, ModelRef, uuid7
from steward.policy import ChannelSpec, Mode, Policy
from steward.ports import Handler, Outcome, Services, VersionInfo, Work
from tests.fakes import FakeChannel, FakeFleet, FakeHistory, FakeLedger, FakeRegistry, FixedClock

MODEL = ModelRef("fraud")
AUC = {"names": ["test_auc", "roc_auc"], "better": "higher"}


def make_policy(**sections: Any) -> Policy:
    """Act; promote by auc with a margin of 0.02; stage Production, alias champion."""
    document = {
        "name": "fraud",
        "mode": "act",
        "production": {"stage": "Production", "mirror_alias": "champion"},
        "metrics": {"auc": AUC},
        "require": {"metrics": {"auc": {"min": "0.85"}}},
        "promote": {"when": {"metric": "auc", "margin": "0.02"}},
        "reload": {"timeout_seconds": 0.3},
        **sections,
    }
    return Policy.model_validate(document).of_file("0" * 64)


def _no_channel(_name: str) -> tuple[ChannelSpec, FakeChannel]:
    raise AssertionError("these handlers tell nobody")


@dataclass
class World:
    """Everything outside the handlers, and a way of running one."""

    policy: Policy = field(default_factory=make_policy)
    mode: Mode | None = None
    clock: FixedClock = field(default_factory=FixedClock)
    failures: int = 0

    def __post_init__(self) -> None:
        self.registry = FakeRegistry(self.clock)
        self.fleet = FakeFleet()
        self.ledger = FakeLedger(self.clock)
        self.history = FakeHistory(self.clock)

    def register(self, auc: float | None = 0.9, **more: Any) -> VersionInfo:
        """The next version, with its test_auc."""
        return self.registry.create_version("fraud", metrics={"test_auc": auc}, **more)

    def register_champion(self, auc: float | None = 0.9) -> VersionInfo:
        """The next version, in Production by stage and alias, as the journal knows too."""
        info = self.register(auc)
        self.registry.set_stage(MODEL, info.version, "Production", archive_existing=True)
        self.registry.set_alias(MODEL, "champion", info.version)
        self.know_champion(info.version)
        held = self.registry.version(MODEL, info.version)
        self.registry.requests.clear()
        return held

    def know_champion(self, version: str | None) -> None:
        """The journal has read this version as Production."""
        self.history.know(MODEL, "", "champion", version)
        if version:
            self.history.past_champions.setdefault(MODEL, []).insert(0, version)

    def event(self, kind: EventType, version: str | None = None, **more: Any) -> Event:
        """A journalled event of the model."""
        now = self.clock.now()
        values = {"source": "test", "before": None, "after": None, "data": {}, **more}
        event = Event(
            id=uuid7(),
            type=kind,
            model=MODEL,
            version=version,
            occurred_at=now,
            recorded_at=now,
            **values,
        )
        self.history.events[event.id] = event
        return event

    @property
    def services(self) -> Services:
        return Services(
            registry=self.registry,
            fleet=self.fleet,
            ledger=self.ledger,
            history=self.history,
            clock=self.clock,
            policy=self.policy,
            mode=self.mode or self.policy.mode,
            work=Work("dispatch-1", "handler", failures=self.failures),
            channel=_no_channel,
            public_url="http://steward.example",
        )

    def run(self, handler: Handler, event: Event) -> Outcome:
        """One try of a handler; what it began is over where it comes to its end."""
        outcome = handler(event, self.services)
        self.ledger.end()
        return outcome

    def stop_halfway(self, handler: Handler, event: Event) -> None:
        """A try of a handler that meets a failing registry after its first write."""

        def fail(_method: str) -> None:
            raise TransientError("the registry answers 503")

        self.registry.after = fail
        with suppress(TransientError):
            self.run(handler, event)
        self.registry.after = None

    def stages(self) -> dict[str, str]:
        """Stage by version, where it has one."""
        versions = self.registry.versions(MODEL)
        return {info.version: info.stage for info in versions if info.stage != "None"}

    def aliases(self) -> dict[str, str]:
        """Alias to version."""
        return dict(self.registry.model(MODEL).aliases)

    def set_status(self, version: str, status: str) -> None:
        """What the registry says of a registration that is not done."""
        held = self.registry._models[MODEL].versions
        held[version] = replace(held[version], status=status)
