"""One Steward whose parts a test may kill, freeze, arm and start again, each by itself.

Every role is a process of its own (`python -m steward.cli ROLE`), as on several machines. A real
Valkey, a real MLflow behind a witness, Slack and replicas behind theirs.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from steward.failpoints import VARIABLE
from tests.acceptance.faults.oracle import FakeReplica, RegistryWitness, Slack
from tests.acceptance.installation import steward
from tests.models import client_of, register_version
from tests.postgres import PostgresServer
from tests.servers import (
    FORGETFUL,
    ROOT,
    Child,
    MlflowServer,
    Server,
    ValkeyServer,
    beside,
    eventually,
    free_port,
)

SECRET = "a-secret-of-the-faults"
ROLES = {
    "receiver": ("receiver",),
    "worker-default": ("worker", "--queue", "default"),
    "worker-validation": ("worker", "--queue", "validation"),
    "poller": ("poller",),
}
IMPATIENT = {
    "STEWARD_LEASE_SECONDS": "4",
    "STEWARD_SWEEP_INTERVAL_SECONDS": "0.5",
    "STEWARD_POLL_INTERVAL_SECONDS": "1.5",
    "STEWARD_CANARY_SECONDS": "3",
    "STEWARD_CANARY_LIMIT_SECONDS": "20",
}
_OURS = ("STEWARD_", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
START_SECONDS = 120.0


@dataclass
class Site:
    """``database_url`` None is SQLite in ``directory``. ``settings`` are laid over the house's."""

    directory: Path
    mlflow: MlflowServer
    database_url: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    roles: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(ROLES))

    def __post_init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.children: dict[str, Child] = {}
        self.health_ports = {name: free_port() for name in self.roles if name != "receiver"}
        self.api = httpx.Client(
            base_url=f"{self.url}/api/v1", trust_env=False, timeout=30, limits=FORGETFUL
        )
        self.slack, self.witness = Slack(), RegistryWitness(self.mlflow.url)
        self._stack = ExitStack()
        self.broker: ValkeyServer | None = None
        self.database: PostgresServer | None = None  # where a test may kill it
        self.broker_url = ""

    # -- running it -------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Start everything, and end whatever of it is left."""
        self.directory.mkdir(parents=True, exist_ok=True)
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
        with self._stack:
            self._stack.enter_context(self.witness.running())
            self._stack.enter_context(self.slack.http.running())
            self.broker = ValkeyServer(self.directory).start()
            self.broker_url = self.broker.url
            try:
                for name in self.roles:
                    self.start(name, wait=False)
                self.await_ready()
                self.connect()
                yield self
            finally:
                try:
                    self.disconnect()
                finally:
                    self.end()

    def start(self, name: str, *, failpoints: str = "", wait: bool = True, **env: str) -> Child:
        """Start a role (again), perhaps armed; ``wait`` until it says it is ready."""
        old = self.children.get(name)
        if old is not None and old.is_alive():
            raise AssertionError(f"{name} runs already")
        arguments = self.roles[name]
        command = [sys.executable, "-m", "steward.cli", *arguments]
        extra = {VARIABLE: failpoints, "STEWARD_ALLOW_FAILPOINTS": "true", **env}
        if name in self.health_ports:
            extra["STEWARD_HEALTH_PORT"] = str(self.health_ports[name])
        child = Child(command, self.directory / f"{name}.log", env=self.environment() | extra)
        self.children[name] = child
        if wait:
            self.await_ready(name)
        return child

    @contextmanager
    def supervised(self) -> Iterator[None]:
        """Start again what ends by itself while the block lasts: a worker that is deaf does."""

        def supervise(done: threading.Event) -> None:
            while not done.wait(0.3):
                self.restart_ended()

        with beside(supervise):
            yield

    def restart_ended(self, *, is_left: Callable[[str], bool] = lambda _: False) -> None:
        """What a supervisor does; ``is_left`` says which roles it leaves as they are."""
        for name, child in list(self.children.items()):
            if not child.is_alive() and not is_left(name):
                child.kill()  # what it left of its process group, and its log
                self.start(name, wait=False)

    @contextmanager
    def another(self, name: str, *, failpoints: str = "", **env: str) -> Iterator[str]:
        """A second process of a role while the block lasts; yields what it is called here."""
        other = f"{name}-2"
        self.roles[other], self.health_ports[other] = self.roles[name], free_port()
        try:
            self.start(other, failpoints=failpoints, **env)
            yield other
        finally:
            if child := self.children.pop(other, None):
                child.stop()
            del self.roles[other], self.health_ports[other]

    def stop(self, name: str, *, within: float = 25.0) -> float:
        """SIGTERM, and wait for the end; returns the seconds it took."""
        began = time.monotonic()
        child = self.children[name]
        child.send(signal.SIGTERM)
        eventually(lambda: not child.is_alive(), within)
        child.stop()
        return time.monotonic() - began

    def kill(self, name: str) -> None:
        """SIGKILL a role with all its processes."""
        self.children[name].kill()

    def freeze(self, name: str) -> None:
        """SIGSTOP to all processes of a role."""
        os.killpg(self.children[name].pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        os.killpg(self.children[name].pid, signal.SIGCONT)

    def await_death(self, name: str, within: float = 60.0) -> None:
        """Wait until a role (armed to kill itself) is dead, with all its processes."""
        child = self.children[name]
        eventually(lambda: not child.is_alive(), within)
        child.kill()

    def await_standstill(self, name: str, within: float = 60.0) -> None:
        """Wait until a role (armed to stop itself) stands still."""
        process = psutil.Process(self.children[name].pid)
        eventually(lambda: process.status() == psutil.STATUS_STOPPED, within)

    def await_ready(self, *names: str) -> None:
        """Wait until these roles (all) answer that they are ready; fail with a log otherwise."""
        for name in names or tuple(self.roles):
            port = self.health_ports.get(name, self.port)
            self.children[name].wait_until(lambda port=port: _is_ready(port), START_SECONDS)

    def heal(self) -> None:
        """Whatever a test left dead, frozen, away or armed: as new again."""
        assert self.broker is not None
        self.slack.refuses = lambda: None
        self.witness.fails = lambda _: None
        if not _comes_to(self.mlflow, self.mlflow.is_healthy):
            self.mlflow.kill()
            self.mlflow.start()
        if not _comes_to(self.broker, self.broker.is_answering):
            self.broker.kill()
            self.broker.start()
        for name, child in self.children.items():
            if child.is_alive():
                self.thaw(name)
            if not child.is_alive() or self._was_armed(child):
                child.kill()
                self.start(name, wait=False)
        eventually(self._is_well, START_SECONDS, every_seconds=0.3)

    def _is_well(self) -> bool:
        """Whether every role is ready; one that ended is started again, as a supervisor does.

        A worker that the broker's fault left deaf notices it now, and ends itself.
        """
        self.restart_ended()
        return all(self._is_up(name) for name in self.roles)

    def _is_up(self, name: str) -> bool:
        """Whether a role is ready; of a worker, whether it was heard to consume lately, too.

        It would say itself that it does not only after a while, perhaps in the next test.
        """
        if not _is_ready(self.health_ports.get(name, self.port)):
            return False
        if not name.startswith("worker"):
            return True
        with suppress(httpx.HTTPError):
            age = self.metric(name, "steward_canary_age_seconds")
            return age < 2 * float(self.environment()["STEWARD_CANARY_SECONDS"])
        return False

    def end(self) -> None:
        """End every process that is left."""
        for name, child in self.children.items():
            if child.is_alive():
                self.thaw(name)
                child.send(signal.SIGTERM)
        for child in self.children.values():
            child.stop()
        if self.broker:
            self.broker.stop()
        self.api.close()

    def environment(self) -> dict[str, str]:
        """What every role is told; nothing of what the developer's shell has set (empty: unset)."""
        unset = {name: "" for name in os.environ if name.startswith(_OURS)}
        told = {
            "PYTHONPATH": str(ROOT),
            "MLFLOW_TRACKING_URI": self.witness.url,
            "STEWARD_DATA_DIR": str(self.directory / "data"),
            "STEWARD_PORT": str(self.port),
            "STEWARD_BROKER_URL": self.broker_url,
            "STEWARD_WEBHOOK_SECRETS": SECRET,
            "STEWARD_REPLICA_SECRETS": SECRET,
            "STEWARD_SLACK_WEBHOOK_URL": self.slack.url,
            "STEWARD_BUILT_IN_POLICY": "true",
            "STEWARD_LOG_FORMAT": "json",
        }
        if self.database_url:
            told["STEWARD_DATABASE_URL"] = self.database_url
        return unset | told | IMPATIENT | dict(self.settings)

    @staticmethod
    def _was_armed(child: Child) -> bool:
        try:
            return bool(psutil.Process(child.pid).environ().get(VARIABLE))
        except psutil.NoSuchProcess:  # it killed itself just now
            return True

    def workers_beneath(self, name: str) -> list[int]:
        """The process ids of a role's children (the forks of the validation worker)."""
        return [p.pid for p in psutil.Process(self.children[name].pid).children(recursive=True)]

    # -- what people and systems do ---------------------------------------------------------------

    def cli(self, *arguments: str, within: float = 60) -> Any:
        """The `steward` command of an operator on this machine."""
        environment = self.environment() | {"STEWARD_URL": self.url}
        return steward(arguments, env=environment, cwd=self.directory, within=within)

    @cached_property
    def token(self) -> str:
        """An operator's, made when first asked for."""
        made = self.cli("token", "create", "operator-of-the-faults", "--role", "operator")
        assert made.returncode == 0, made.stderr
        return str(made.stdout).strip()

    def operate(self, *arguments: str, within: float = 60) -> Any:
        """The `steward` command of an operator who may change things."""
        environment = self.environment() | {"STEWARD_URL": self.url, "STEWARD_TOKEN": self.token}
        return steward(arguments, env=environment, cwd=self.directory, within=within)

    def post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """POST to the operators' API, with the token."""
        headers = {"authorization": f"Bearer {self.token}"}
        return self.api.post(path, json=dict(body), headers=headers)

    def connect(self) -> None:
        """Let MLflow deliver to this site's receiver."""
        done = self.cli("connect", "--url", f"{self.url}/webhooks/mlflow")
        assert done.returncode == 0, done.stdout + done.stderr

    def disconnect(self) -> None:
        """Delete this site's webhook at MLflow, which others go on using."""
        if self.mlflow.is_healthy():
            client = client_of(self.mlflow.url)
            for webhook in client.list_webhooks():
                if webhook.url.startswith(self.url):
                    client.delete_webhook(webhook.webhook_id)

    def register(self, model: str, **wishes: Any) -> str:
        """Register a version at MLflow itself, as a data scientist does; see ``tests.models``."""
        return register_version(self.mlflow.url, model, **wishes)

    @contextmanager
    def replicas(self, model: str, count: int = 3) -> Iterator[list[FakeReplica]]:
        """Replicas of a model that beat and obey, known to Steward when the block begins."""
        with ExitStack() as stack:
            fleet = [
                stack.enter_context(
                    FakeReplica(f"{model}-{n}", model, self.url, SECRET.encode()).running()
                )
                for n in range(1, count + 1)
            ]
            for replica in fleet:
                eventually(replica.beat, 20, every_seconds=0.2)
            eventually(lambda: len(self.get("/replicas", model=model)["items"]) == count, 20)
            yield fleet

    # -- asking -----------------------------------------------------------------------------------

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """GET of the operators' API; empty while the receiver is away or knows nothing."""
        try:
            answer = self.api.get(path, params=params)
        except httpx.HTTPError:
            return {"items": []}
        document: dict[str, Any] = answer.json() if answer.is_success else {"items": []}
        return document

    def events(self, **which: str) -> list[dict[str, Any]]:
        """All events of a filter, oldest first (asked of the API, page by page)."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            answer = self.api.get("/events", params={"limit": 500, **which, **cursor})
            assert answer.is_success, answer.text
            page = answer.json()
            found += page["items"]
            if not page["next_cursor"]:
                return found[::-1]
            cursor = {"cursor": page["next_cursor"]}

    def verdict(self, model: str, version: str) -> str:
        """The verdict on a version now; empty while nothing is known of it."""
        found = self.get(f"/models/{model}/versions/{version}/verdict")
        return str(found.get("verdict") or "")

    def await_verdict(self, model: str, version: str, verdict: str, within: float = 180) -> None:
        """Wait until a version's verdict is this one."""
        eventually(lambda: self.verdict(model, version) == verdict, within, every_seconds=0.1)

    def metric(self, role: str, name: str, **labels: str) -> float:
        """The sum of a metric of one process, over all but these labels; 0 where it has none."""
        port = self.health_ports.get(role, self.port)
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=10).text
        lines = [line for line in text.splitlines() if line.startswith((name + " ", name + "{"))]
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        found = [line for line in lines if all(each in line for each in wanted)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def log(self, name: str) -> str:
        """What a role has logged so far."""
        return (self.directory / f"{name}.log").read_text(errors="replace")


def _comes_to(server: Server, is_well: Callable[[], bool]) -> bool:
    """Whether a server answers; one that lives may only be slow, and is given time."""
    with suppress(AssertionError):
        eventually(lambda: server.child and (not server.child.is_alive() or is_well()), 10)
    return is_well()


def _is_ready(port: int) -> bool:
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.is_success
