"""The one place that picks real clients: journal, registry, fleet, channels, policy.

Called by the entry points (the CLI and the worker's processes).
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from steward.clients.breaker import Breaker, GuardedChannel
from steward.clients.channels import channel_for
from steward.clients.datasets import MlflowDatasets
from steward.clients.mlflow_model_store import MlflowModelStore
from steward.clients.mlflow_registry import MlflowRegistry, configure_environment
from steward.clients.replicas import HttpFleet
from steward.clients.sandbox.client import ProcessSandbox
from steward.errors import ConfigurationError, PermanentError
from steward.events import ModelRef
from steward.journal import fleet, migrate, policies
from steward.journal.claims import Claimed
from steward.journal.history import JournalHistory
from steward.journal.ledger import JournalLedger
from steward.journal.opening import open_journal
from steward.journal.routing import Routing
from steward.journal.store import Journal
from steward.logs import get_logger
from steward.policy import ChannelSpec, Mode, Policy, PolicySet
from steward.policy.installed import settings_channels
from steward.ports import Channel, Notification, Services, Skipped
from steward.settings import Settings

DEFAULT_REGISTRY = "default"


class ClaimClock:
    """ports.Clock: the database's time of a claim, counted on from there.

    A worker's own clock may be an hour off, and must not end a wait or a deadline early.
    """

    def __init__(self, claimed_at: datetime) -> None:
        self._claimed_at, self._began = claimed_at, time.monotonic()

    def now(self) -> datetime:
        return self._claimed_at + timedelta(seconds=time.monotonic() - self._began)


def tracking_uri(settings: Settings) -> str:
    """Where MLflow is.

    Raises:
        ConfigurationError: no MLFLOW_TRACKING_URI.

    """
    if not settings.mlflow_tracking_uri:
        raise ConfigurationError(
            "MLFLOW_TRACKING_URI is not set. Set it to your MLflow server, such as "
            "http://mlflow.example.com:5000, or let `steward up` start one."
        )
    return settings.mlflow_tracking_uri


def broker_url(settings: Settings) -> str:
    """Where the broker is.

    Raises:
        ConfigurationError: no STEWARD_BROKER_URL.

    """
    if not settings.broker_url:
        raise ConfigurationError(
            "STEWARD_BROKER_URL is not set. Set it to your Redis, such as "
            "redis://localhost:6379/0, or your RabbitMQ, such as amqp://steward:PASSWORD@localhost:5672/steward."
        )
    return settings.broker_url


def registry(settings: Settings) -> MlflowRegistry:
    """The client of the registry that MLFLOW_TRACKING_URI names."""
    configure_environment()
    return MlflowRegistry(tracking_uri(settings), name=DEFAULT_REGISTRY)


def installation_id(settings: Settings) -> str:
    """Names this installation; its webhook at MLflow is ``steward-<id>``."""
    journal = open_journal(settings, Routing({}))
    try:
        return migrate.installation_id(journal)
    finally:
        journal.close()


def activate_policy(settings: Settings, journal: Journal) -> None:
    """Put the configured policy in force, for all processes; without one, leave what is.

    Raises:
        ConfigurationError: the policy file is wrong; a process does not start with it.

    """
    if settings.policy_file is not None:
        file = settings.policy_file
        event_id = policies.activate(journal, PolicySet.load(file), file=str(file))
    elif settings.built_in_policy:
        event_id = policies.activate(journal, PolicySet.built_in(), file="the built-in policy")
    else:
        return
    if event_id:
        get_logger().info("policy_activated", file=str(settings.policy_file or "built-in"))


@dataclass(frozen=True, slots=True)
class _AskingChannel:
    """ports.Channel for one dispatch: a worker that stood still sends nothing after another did."""

    channel: Channel
    before_send: Callable[[], None]

    def send(self, notification: Notification) -> str:
        self.before_send()
        return self.channel.send(notification)


class ServicesFactory:
    """Makes the Services of one claimed dispatch; its clients live as long as the process."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        self._registry = registry(settings)
        secrets = settings.secret_bytes("replica")
        self._fleet = HttpFleet(
            partial(fleet.live_replicas, journal),
            secrets[0] if secrets else None,
            lost=partial(fleet.lost_replicas, journal),
        )
        self._settings_channels = settings_channels(settings)
        self._sandbox = ProcessSandbox()  # starts its runner with the first model
        self._datasets = MlflowDatasets(tracking_uri(settings))
        self._store = MlflowModelStore(tracking_uri(settings))
        self._breakers: defaultdict[str, Breaker] = defaultdict(Breaker)

    def __call__(self, claimed: Claimed) -> Services | Skipped:
        """The bundle for one dispatch; Skipped for a registry that we have no client for."""
        model, settings = claimed.event.model, self._settings
        if model is not None and model.registry != self._registry.name:
            return Skipped(f"unknown registry: {model.registry}")
        policy_set, policy = self._policies(model)
        ledger = JournalLedger(self._journal, claimed, lease_seconds=settings.lease_seconds)
        return Services(
            registry=self._registry.asking(ledger.secure),
            fleet=self._fleet,  # replicas refuse an order of an older generation themselves
            ledger=ledger,
            history=JournalHistory(self._journal, claimed),
            clock=ClaimClock(claimed.claimed_at),
            policy=policy,
            mode=Mode.lowest(policy.mode, settings.mode),
            work=claimed.work,
            channel=partial(self._channel, policy_set, ledger.secure),
            public_url=settings.receiver_url,
            registry_url=(settings.mlflow_tracking_uri or "").rstrip("/"),
            templates_dir=Path(settings.data_dir) / "templates",
            sandbox=self._sandbox,
            datasets=self._datasets,
            store=self._store.asking(ledger.secure),
        )

    def close(self) -> None:
        """End the sandbox's runner, if one was started."""
        self._sandbox.close()

    def _policies(self, model: ModelRef | None) -> tuple[PolicySet, Policy]:
        with self._journal.read() as connection:
            policy_set = policies.active(connection)
            is_asked = model is not None and policy_set.asks_for_tags
            tags = policies.model_tags(connection, model) if model and is_asked else {}
        return policy_set, policy_set.governing(model or ModelRef(""), tags)

    def _channel(
        self, policy_set: PolicySet, before_send: Callable[[], None], name: str
    ) -> tuple[ChannelSpec, Channel]:
        channels = {**self._settings_channels, **policy_set.channels}
        if name not in channels:
            known: Sequence[str] = sorted(channels)
            raise PermanentError(
                f"There is no channel {name} any more; configured: {', '.join(known) or 'none'}."
            )
        client = channel_for(channels[name], self._settings)
        channel = GuardedChannel(client, self._breakers[name])
        return channels[name], _AskingChannel(channel, before_send)
