"""``steward up``: the whole of Steward on this machine, supervised."""

import fcntl
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
import typer

from steward.cli import banner, stack
from steward.cli.addresses import LOOPBACK
from steward.cli.planning import Wish, make_plan, prepare_journal, settings_of
from steward.cli.roles import stop_on_signals
from steward.cli.supervisor import Supervisor
from steward.clients.mlflow_errors import without_credentials
from steward.errors import ConfigurationError, TransientError
from steward.journal import policies
from steward.journal.opening import open_journal
from steward.journal.routing import Routing
from steward.policy import Mode, PolicySet
from steward.settings import Settings, load_settings

READY_SECONDS = 180.0
LOOK_SECONDS = 0.2


def up(  # noqa: PLR0917  # options, each by its name
    host: Annotated[str | None, typer.Option(help="Address of the receiver [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the receiver [8800].")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where everything is kept [.steward].")
    ] = None,
    mlflow_port: Annotated[int | None, typer.Option(help="Port of MLflow [5000].")] = None,
    replica_port: Annotated[
        int | None, typer.Option(help="Port of the first replica [8900].")
    ] = None,
    replicas: Annotated[int, typer.Option(min=0, help="Replicas of each served model.")] = 1,
    serve: Annotated[
        list[str] | None, typer.Option(help="Serve this model; repeat for more.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="The policy file.")] = None,
) -> None:
    """Start everything on this machine: broker, journal, MLflow, receiver, workers, replicas."""
    settings = load_settings(data_dir=data_dir)
    wish = Wish(
        data_dir=settings.data_dir.absolute(),
        host=host or settings.host,
        port=port or (settings.port if "port" in settings.model_fields_set else None),
        mlflow_port=mlflow_port,
        replica_port=replica_port,
        replicas=replicas,
        serve=tuple(serve or ()),
        policy=policy or settings.policy_file,
    )
    stop = stop_on_signals()
    with running_stack(wish, settings, say=typer.echo, stop=stop) as running:
        running.tell(typer.echo)
        running.watch()


class Stack:
    """The running stack: its plan and its children."""

    def __init__(
        self,
        plan: stack.Plan,
        settings: Settings,
        *,
        say: Callable[[str], None],
        stop: threading.Event,
    ) -> None:
        self.plan = plan
        self.settings = settings
        self.stop = stop
        self._say = say
        self._webhook = "no webhook: the registry is polled"
        self.supervisor = Supervisor(plan.data_dir / "logs", say, self.write_up)

    def start(self) -> None:
        """Start the children, wait until all are ready, connect MLflow's webhook.

        Raises:
            ConfigurationError: one of them did not come up; the message names its log.

        """
        *programs, poller = stack.programs(self.plan)
        for program in programs:
            self.supervisor.start(program)
        self._await("broker", self._broker_answers)
        checks = {"receiver": f"{self.plan.receiver_url}/healthz"}
        for name, port in self.plan.health_ports.items():
            checks[name] = f"http://{LOOPBACK}:{port}/readyz"
        for number, (_, port) in enumerate(self.plan.replicas, start=1):
            checks[f"replica-{number}"] = f"http://{LOOPBACK}:{port}/healthz"
        if self.plan.mlflow_port:
            self._await("mlflow", partial(_answers, f"{self.plan.mlflow_url}/health"))
        elif not _is_reached(self.plan.mlflow_url):
            url = without_credentials(self.plan.mlflow_url)
            self._say(f"WARNING: MLFLOW_TRACKING_URI={url} does not answer; it is tried again.")
        self.supervisor.start(poller)  # its first look finds a registry that is there
        for name, url in checks.items():
            self._await(name, partial(_answers, url))
        self._connect()
        self.write_up()

    def watch(self) -> None:
        """Restart what dies, until told to stop."""
        while not self.stop.wait(LOOK_SECONDS):
            self.supervisor.look()

    def write_up(self) -> None:
        """Write ``up.json``, for programs: addresses and process ids."""
        document = {
            "receiver": self.plan.receiver_url,
            "mlflow": self.plan.mlflow_url,
            "broker": self.plan.broker_url,
            "replicas": [
                {"model": model, "url": f"http://{LOOPBACK}:{port}"}
                for model, port in self.plan.replicas
            ],
            "pids": self.supervisor.pids,
        }
        stack.write_private(self.plan.data_dir / "up.json", json.dumps(document, indent=2) + "\n")

    def tell(self, say: Callable[[str], None]) -> None:
        """Print what runs where, for people."""
        for line in banner.lines(self.plan, self._policies_in_force(), self._webhook):
            say(line)

    # -- inside ---------------------------------------------------------------------------------

    def _policies_in_force(self) -> PolicySet:
        journal = open_journal(self.settings, Routing({}))
        try:
            with journal.read() as connection:
                return policies.active(connection)
        finally:
            journal.close()

    def _await(self, name: str, is_up: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not is_up():
            if self.stop.wait(0.1):
                raise typer.Exit(130)
            self.supervisor.look()
            if time.monotonic() > deadline:
                log = self.supervisor.log_of(name)
                raise ConfigurationError(
                    f"{name} was not ready within {READY_SECONDS:g} s. Its log: {log}\n{_tail(log)}"
                )
        self._say(f"{name} is ready")

    def _broker_answers(self) -> bool:
        import redis

        if self.plan.broker_port is None:
            return True
        try:
            with redis.Redis.from_url(self.plan.broker_url, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _connect(self) -> None:
        """Let MLflow send its webhooks here, unless nobody asked for more than watching."""
        from steward.cli.connect import connect_installation

        modes = {policy.mode for policy in self._policies_in_force().policies}
        if self.plan.mlflow_port is None and modes <= {Mode.OBSERVE}:
            self._webhook = "none: every policy observes, so the registry is polled"
            if not modes:
                self._webhook = "none: no policy file, so Steward only observes, by polling"
            return
        try:
            self._webhook = connect_installation(self.settings).summary
        except TransientError as error:
            self._webhook = f"none yet, the registry is polled ({error}); later: steward connect"


@contextmanager
def running_stack(
    wish: Wish, settings: Settings, *, say: Callable[[str], None], stop: threading.Event
) -> Iterator[Stack]:
    """Start the stack, and end every child at the end whatever happens."""
    wish.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _only_one(wish.data_dir):
        if wish.policy:
            PolicySet.load(wish.policy)  # an error stops us here, before anything runs
        plan, ports = make_plan(wish, settings)
        for moved in ports.moved:
            say(moved)
        settings = settings_of(plan)
        prepare_journal(plan, settings, wish)
        stack_ = Stack(plan, settings, say=say, stop=stop)
        try:
            stack_.start()
            yield stack_
        finally:
            say("Ending ...")
            stack_.supervisor.end()
            (plan.data_dir / "up.json").unlink(missing_ok=True)
            say("Ended.")


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(
                f"Steward runs in {data_dir} already (see up.json there). End it first, or use "
                "another --data-dir."
            ) from error
        yield


def _is_reached(url: str) -> bool:
    """Whether anything answers there, whatever it says; a database as registry always does."""
    if not url.startswith("http"):
        return True
    try:
        httpx.get(url, timeout=3, trust_env=False)
    except httpx.HTTPError:
        return False
    return True


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _tail(log: Path, lines: int = 15) -> str:
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])
