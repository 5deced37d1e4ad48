"""One whole Steward under test: `steward up` as a child process, seen as people see it.

Tests ask it over HTTP, by the `steward` command, and in MLflow; never in its journal.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from steward.events import EventType
from tests.models import client_of, register_version
from tests.servers import _TEMPLATE, FORGETFUL, ROOT, Child, eventually, free_port

READY_SECONDS = 150.0
END_SECONDS = 10.0
ROW = {"inputs": [[0.5, 0.1, -0.2]]}
_IMPATIENT = {"STEWARD_POLL_INTERVAL_SECONDS": "2", "STEWARD_LEASE_SECONDS": "10"}
_OURS = ("STEWARD_", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


@contextmanager
def installed(
    directory: Path, *, policy: str | None = None, **more: Any
) -> Iterator["Installation"]:
    """One that runs in this directory until the block ends; ``policy`` is the text of its file."""
    file = None
    if policy is not None:
        file = directory / "steward.yaml"
        file.write_text(policy)
    installation = Installation(directory / "data", policy=file, **more)
    try:
        yield installation.start()
    finally:
        installation.clear_up()


@dataclass
class Installation:
    """A data directory and the stack that runs on it; ``environment`` is laid over the settings."""

    data_dir: Path
    serve: tuple[str, ...] = ()
    replicas: int = 2
    policy: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    registry: str | None = None
    """An MLflow that runs elsewhere; None: it starts its own."""
    child: Child | None = None
    _members: dict[int, psutil.Process] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port, self.mlflow_port = free_port(), free_port()
        self.replica_port = free_port(in_a_row=len(self.serve) * self.replicas)
        self.url = f"http://127.0.0.1:{self.port}"
        self.mlflow_url = self.registry or f"http://127.0.0.1:{self.mlflow_port}"
        self.api = httpx.Client(
            base_url=f"{self.url}/api/v1", trust_env=False, timeout=100, limits=FORGETFUL
        )
        self.mlflow = client_of(self.mlflow_url)

    # -- running it -------------------------------------------------------------------------------

    def command(self) -> list[str]:
        """How a person would start it."""
        asked = ["--data-dir", str(self.data_dir), "--port", str(self.port)]
        if self.registry is None:
            asked += ["--mlflow-port", str(self.mlflow_port)]
        if self.serve:
            asked += ["--replica-port", str(self.replica_port), "--replicas", str(self.replicas)]
        for model in self.serve:
            asked += ["--serve", model]
        if self.policy:
            asked += ["--policy", str(self.policy)]
        return [sys.executable, "-m", "steward.cli", "up", *asked]

    def begin(self) -> Self:
        """Start it, and do not wait."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        database = self.data_dir / "mlflow" / "mlflow.db"
        if self.registry is None and not database.exists() and _TEMPLATE.exists():
            database.parent.mkdir()
            shutil.copyfile(_TEMPLATE, database)  # saves MLflow's migrations, 3 s and more
        self.child = Child(self.command(), self.data_dir.parent / "up.log", env=self._environment())
        return self

    def start(self) -> Self:
        """Start it, and wait until it says that everything is ready."""
        self.begin()
        assert self.child
        self.child.wait_until((self.data_dir / "up.json").exists, READY_SECONDS)
        token = (self.data_dir / "token").read_text().strip()
        self.api.headers["authorization"] = f"Bearer {token}"
        self._note_members()
        return self

    def stop(self) -> int:
        """End it as an operator does, by SIGTERM; returns its exit code."""
        return self._end(signal.SIGTERM)

    def crash(self) -> int:
        """SIGKILL the supervisor, which can then end nobody."""
        return self._end(signal.SIGKILL)

    def clear_up(self) -> None:
        """End whatever is left, for the next test's sake."""
        self.api.close()
        if self.child and self.child.is_alive():
            self.child.stop(END_SECONDS + 5)
        for pid in self.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self.child
        self._note_members()
        self.child.send(number)
        eventually(lambda: self.child and not self.child.is_alive(), END_SECONDS + 5)
        self.child.stop()  # closes its log
        return int(self.child._process.returncode)

    def _environment(self) -> dict[str, str]:
        """What is set, and nothing of ours that the developer's shell has set (empty: unset)."""
        unset = {name: "" for name in os.environ if name.startswith(_OURS)}
        chosen = {**_IMPATIENT, **self.environment}
        return unset | {"MLFLOW_TRACKING_URI": self.registry or ""} | chosen

    # -- its processes ----------------------------------------------------------------------------

    @property
    def up(self) -> dict[str, Any]:
        """What up.json says now."""
        document: dict[str, Any] = json.loads((self.data_dir / "up.json").read_text())
        return document

    @property
    def said(self) -> str:
        """What `steward up` printed so far."""
        assert self.child
        return self.child.log.read_text()

    def processes(self) -> list[int]:
        """The process ids of the supervisor and of everything beneath it."""
        if not self.child or not self.child.is_alive():
            return []
        try:
            beneath = psutil.Process(self.child.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [self.child.pid, *(process.pid for process in beneath)]

    def _note_members(self) -> None:
        for pid in self.processes():
            with suppress(psutil.NoSuchProcess):
                self._members[pid] = psutil.Process(pid)

    def left(self) -> list[int]:
        """Processes of this installation that live: by id, by group and by what they were told.

        An id that another process has got meanwhile says nothing: ids come round in a long run.
        """
        return sorted(
            process.pid
            for process in psutil.process_iter()
            if process.pid != os.getpid() and self._is_ours(process)
        )

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            if process == self._members.get(process.pid):
                return True
            group = os.getpgid(process.pid)
            leader = self._members.get(group)
            if leader and (leader.is_running() or not psutil.pid_exists(group)):
                return True
            return any(str(self.data_dir) in argument for argument in process.cmdline())
        except (psutil.Error, ProcessLookupError):
            return False

    def kill(self, name: str) -> int:
        """SIGKILL one child, as a crash; returns its process id of then."""
        pid = int(self.up["pids"][name])
        os.kill(pid, signal.SIGKILL)
        return pid

    def has_restarted(self, name: str, pid: int) -> bool:
        """Whether up.json names another process than that one by now."""
        return self.up["pids"].get(name, pid) != pid

    # -- the registry -----------------------------------------------------------------------------

    def register(self, model: str, **wishes: Any) -> str:
        """Register a version, as a data scientist does; see ``tests.models``."""
        return register_version(self.mlflow_url, model, **wishes)

    def transition(self, model: str, version: str, stage: str, *, archive: bool = False) -> None:
        """Put a version into a stage by hand, as MLflow's own pages do."""
        with warnings.catch_warnings(action="ignore"):  # stages are deprecated, and in use
            self.mlflow.transition_model_version_stage(
                model, version, stage, archive_existing_versions=archive
            )

    def tags(self, model: str, version: str) -> dict[str, str]:
        """The version's tags in MLflow."""
        return dict(self.mlflow.get_model_version(model, version).tags)

    def aliases(self, model: str) -> dict[str, str]:
        """The model's aliases in MLflow."""
        return dict(self.mlflow.get_registered_model(model).aliases)

    def stages(self, model: str) -> dict[str, str]:
        """The stage of each version in MLflow."""
        found = self.mlflow.search_model_versions(f"name='{model}'")
        return {str(each.version): each.current_stage for each in found}

    def in_production(self, model: str) -> list[str]:
        """The versions in stage Production."""
        return [version for version, stage in self.stages(model).items() if stage == "Production"]

    # -- Steward ----------------------------------------------------------------------------------

    def verdict(
        self, model: str, version: str, *, goal: str = "decided", wait: float = 180
    ) -> dict[str, Any]:
        """The answer of the long poll, which comes as soon as the goal is reached."""
        path = f"/models/{model}/versions/{version}/verdict"
        return self.get(path, within=wait + 60, wait=wait, **{"for": goal})

    def promote(self, model: str, **wishes: Any) -> str:
        """Register a version that is promoted and served before this returns."""
        version = self.register(model, **wishes)
        found = self.verdict(model, version, goal="serving" if model in self.serve else "decided")
        assert found["verdict"] == "promoted", found
        return version

    def better_auc(self, model: str) -> float:
        """One more than any promoted version reached: numbers above 1 leave room for all tests."""
        promoted = self.events(model=model, type=EventType.PROMOTED)
        reached = [float(each["data"]["candidate"]["value"]) for each in promoted]
        return max(reached, default=0.0) + 1

    def get(self, path: str, *, within: float = 100, **params: Any) -> dict[str, Any]:
        """GET of the operators' API."""
        response = self.api.get(path, params=params, timeout=within)
        assert response.status_code == httpx.codes.OK, response.text
        document: dict[str, Any] = response.json()
        return document

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST of the operators' API."""
        response = self.api.post(path, json=dict(body))
        assert response.is_success, response.text
        document: dict[str, Any] = response.json()
        return document

    def events(self, **which: str) -> list[dict[str, Any]]:
        """All events of a filter, oldest first."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get("/events", limit=500, **which, **cursor)
            found += page["items"]
            if not page["next_cursor"]:
                return found[::-1]
            cursor = {"cursor": page["next_cursor"]}

    def event(self, event_id: str) -> dict[str, Any]:
        """One event with its deliveries, dispatches and what it caused."""
        return self.get(f"/events/{event_id}")

    def only(self, **which: str) -> dict[str, Any]:
        """The one event of a filter, when it is there."""
        found = eventually(lambda: self.events(**which), 30)
        assert len(found) == 1, [(each["type"], each["version"]) for each in found]
        return found[0]

    def settle(self, *models: str) -> None:
        """Wait until nothing of these models is open."""
        for model in models:
            eventually(lambda model=model: not self.events(model=model, status="open"), 60)

    def cli(self, *arguments: str, within: float = 240) -> subprocess.CompletedProcess[str]:
        """The `steward` command of an operator on this machine."""
        return steward(
            arguments,
            env={"STEWARD_DATA_DIR": str(self.data_dir)},
            cwd=self.data_dir.parent,
            within=within,
        )

    # -- replicas ---------------------------------------------------------------------------------

    def replica_urls(self, model: str) -> list[str]:
        """Where the replicas of a model answer."""
        return [each["url"] for each in self.up["replicas"] if each["model"] == model]

    def serving(self, model: str) -> list[str | None]:
        """The version that each replica answers a prediction with; None where it does not."""
        return [served_by(url) for url in self.replica_urls(model)]


def served_by(url: str) -> str | None:
    """The version that one replica answers a prediction with."""
    try:
        answer = httpx.post(f"{url}/invocations", json=ROW, timeout=10, trust_env=False)
    except httpx.HTTPError:
        return None
    return answer.headers.get("x-model-version") if answer.is_success else None


def steward(
    arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, within: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run the `steward` command to its end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return subprocess.run(
        [sys.executable, "-m", "steward.cli", *arguments],
        env={**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **env},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )


def types(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """The types of some events."""
    return [str(event["type"]) for event in events]
