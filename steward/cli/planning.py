"""Turns what was asked of `steward up` into a plan: addresses, secrets, environments, journal."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from steward import broker_url
from steward.cli import stack
from steward.cli.addresses import LOOPBACK, Ports
from steward.errors import ConfigurationError
from steward.journal import audit, policies
from steward.journal.opening import open_journal
from steward.journal.routing import Routing
from steward.policy import PolicySet
from steward.policy.installed import policies_in_force
from steward.settings import Settings, load_settings

PORTS = "ports.json"
"""In the data directory."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked of `steward up` (None: not asked)."""

    data_dir: Path
    host: str = LOOPBACK
    port: int | None = None
    mlflow_port: int | None = None
    replica_port: int | None = None
    replicas: int = 1
    serve: tuple[str, ...] = ()
    policy: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    own_mlflow: bool = False


def make_plan(wish: Wish, settings: Settings) -> tuple[stack.Plan, Ports]:
    """Choose addresses, secrets and environments."""
    ports, kept = Ports(), _Kept.read(wish.data_dir)
    receiver = ports.take(wish.port, kept.receiver, "the receiver", host=wish.host)
    external = None if wish.own_mlflow else settings.mlflow_tracking_uri
    if external and kept.is_its_mlflow(external) and ports.is_free(kept.mlflow or 0):
        external = None  # the line that the last start told people to export: it is ours
    if external and wish.mlflow_port:
        raise ConfigurationError(
            f"--mlflow-port was given, but MLFLOW_TRACKING_URI={external} is set and used."
        )
    mlflow = None
    if not external:
        mlflow = ports.take(wish.mlflow_port, kept.mlflow or stack.MLFLOW_PORT, "MLflow")
        (wish.data_dir / "mlflow").mkdir(exist_ok=True)
    replicas = _replicas(wish, ports, kept.replica)
    first = replicas[0][1] if replicas else kept.replica
    _Kept(receiver, mlflow or kept.mlflow, first).write(wish.data_dir)
    if settings.broker_url:
        broker_url.read(settings.broker_url)  # a wrong one stops us here, before anything runs
    broker_port = None if settings.broker_url else ports.any()
    password = stack.kept_secret(wish.data_dir, "broker-password")
    names = ("worker-default", "worker-validation", "poller")
    plan = stack.Plan(
        data_dir=wish.data_dir,
        host=wish.host,
        receiver_port=receiver,
        mlflow_url=external or f"http://{LOOPBACK}:{mlflow}",
        mlflow_port=mlflow,
        broker_url=settings.broker_url or f"redis://:{password}@{LOOPBACK}:{broker_port}/0",
        broker_port=broker_port,
        broker_password=password,
        replicas=replicas,
        health_ports={name: ports.any() for name in names},
        environment={},
    )
    return _with_environment(plan, wish, settings), ports


def _replicas(wish: Wish, ports: Ports, default: int) -> tuple[tuple[str, int], ...]:
    """Model and port of each, one port after the other."""
    taken, asked = [], wish.replica_port
    for model in (model for model in wish.serve for _ in range(wish.replicas)):
        port = ports.take(asked, default, f"a replica of {model}")
        asked, default = (None if asked is None else port + 1), port + 1
        taken.append((model, port))
    return tuple(taken)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Ports of the last start: links that were sent, notebooks and clients know them."""

    receiver: int = stack.RECEIVER_PORT
    mlflow: int | None = None
    replica: int = stack.REPLICA_PORT

    @classmethod
    def read(cls, data_dir: Path) -> Self:
        """The defaults, where this is the first start."""
        file = data_dir / PORTS
        return cls(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else cls()

    def write(self, data_dir: Path) -> None:
        (data_dir / PORTS).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    def is_its_mlflow(self, address: str) -> bool:
        """Whether an address is that of this stack's own MLflow."""
        is_kept = self.mlflow is not None
        return is_kept and address.rstrip("/") == f"http://{LOOPBACK}:{self.mlflow}"


def _with_environment(plan: stack.Plan, wish: Wish, settings: Settings) -> stack.Plan:
    governs_itself = plan.mlflow_port is not None and wish.policy is None
    environment: dict[str, str | None] = {
        **wish.environment,
        "MLFLOW_TRACKING_URI": plan.mlflow_url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "STEWARD_DATA_DIR": str(plan.data_dir),
        "STEWARD_BROKER_URL": plan.broker_url,
        # The receiver is given its host; what else listens does so where `up` looks for it.
        "STEWARD_HOST": LOOPBACK,
        "STEWARD_PORT": str(plan.receiver_port),
        "STEWARD_URL": plan.receiver_url,
        "STEWARD_POLICY_FILE": str(wish.policy.absolute()) if wish.policy else None,
        "STEWARD_BUILT_IN_POLICY": "true" if governs_itself else None,
    }
    for name in ("webhook", "replica"):
        if not settings.secret_bytes(name):
            secret = stack.kept_secret(plan.data_dir, f"{name}-secret")
            environment[f"STEWARD_{name.upper()}_SECRETS"] = secret
    return replace(plan, environment=environment)


def settings_of(plan: stack.Plan) -> Settings:
    """The settings that the children will read, read here too."""
    for name, value in plan.environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return load_settings()


def prepare_journal(plan: stack.Plan, settings: Settings, wish: Wish) -> None:
    journal = open_journal(settings, Routing({}))
    try:
        if wish.policy is None and not settings.built_in_policy:
            policies.activate(journal, PolicySet.observe_only(), file="no policy file")
        else:
            file = str(wish.policy) if wish.policy else "the built-in policy"
            policies.activate(journal, policies_in_force(settings), file=file)
        token_file = plan.data_dir / "token"
        if not token_file.exists():
            secret, _ = audit.create_token(journal, owner="admin", role="admin")
            stack.write_private(token_file, secret + "\n")
    finally:
        journal.close()
