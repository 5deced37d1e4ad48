"""What must hold of docker-compose.yml, the images and deploy/make-env, read without Docker."""

import os
import re
import stat
import subprocess
import tomllib
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from dotenv import dotenv_values

from steward.events import ModelRef
from steward.policy import Mode, PolicySet
from tests.acceptance.compose import FILE, make_env, read
from tests.conftest import missing
from tests.servers import ROOT

TEXT = FILE.read_text()
ONE_SHOTS = {"setup", "connect"}
DOCKERFILES = (ROOT / "Dockerfile", ROOT / "deploy/mlflow/Dockerfile")
SECRET = re.compile(
    r"PASSWORD|SECRET|TOKEN|CREDENTIAL|_KEY|DATABASE_URL|BROKER_URL|STORE_URI|SMTP_URL"
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where deploy/make-env wrote."""
    directory = tmp_path_factory.mktemp("written")
    make_env(directory)
    return directory


@pytest.fixture(scope="module")
def document(written: Path) -> dict[str, Any]:
    """The file as Compose reads it after deploy/make-env and nothing else."""
    return read({name: value or "" for name, value in dotenv_values(written / ".env").items()})


@pytest.fixture(scope="module")
def services(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["services"]
    return found


def test_without_make_env_nothing_starts_and_the_message_says_what_to_run() -> None:
    with pytest.raises(KeyError, match="run deploy/make-env first"):
        read({})


def test_make_env_writes_every_variable_that_must_be_set(written: Path) -> None:
    needed = set(re.findall(r"\$\{(\w+):\?", TEXT))

    assert needed
    assert needed <= set(dotenv_values(written / ".env"))


def test_no_secret_has_a_default_or_stands_in_the_file(services: dict[str, Any]) -> None:
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))
    assert {name: text for name, text in defaults.items() if SECRET.search(name) and text} == {}

    for name, service in services.items():
        for variable, value in (service.get("environment") or {}).items():
            if SECRET.search(variable) and not variable.startswith("MLFLOW_WEBHOOK_ALLOW"):
                is_file = re.fullmatch(r"(/run/secrets|/var/lib)/.+", str(value))
                assert not value or is_file, (name, variable, value)


def test_every_secret_is_written_used_and_given_only_to_those_who_are_told_of_it(
    document: dict[str, Any], services: dict[str, Any], written: Path
) -> None:
    defined = document["secrets"]
    used = {secret for service in services.values() for secret in service.get("secrets", ())}

    assert used == set(defined)
    assert {path.name for path in (written / "secrets").iterdir()} == used
    for name, each in defined.items():
        assert (written / each["file"]).read_text().strip(), name
    for name, service in services.items():
        named = set(re.findall(r"/run/secrets/([\w.-]+)", str(service)))
        assert named <= set(service.get("secrets", ())), name


def test_secrets_are_random_and_closed_to_other_users(written: Path, tmp_path: Path) -> None:
    make_env(tmp_path)

    assert stat.S_IMODE((written / ".env").stat().st_mode) == 0o600
    assert stat.S_IMODE((written / "secrets").stat().st_mode) == 0o700
    for secret in (written / "secrets").iterdir():
        assert secret.read_text() != (tmp_path / "secrets" / secret.name).read_text(), secret.name


def test_make_env_replaces_nothing(tmp_path: Path) -> None:
    make_env(tmp_path)
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / ".env").unlink()

    again = subprocess.run(
        [ROOT / "deploy/make-env", tmp_path], capture_output=True, text=True, check=False
    )

    assert again.returncode == 1
    assert "exists" in again.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == {
        path: text for path, text in kept.items() if path.name != ".env"
    }


def test_what_make_env_writes_is_never_committed() -> None:
    for path in (".env", "secrets/postgres-password"):
        subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=True)


def test_published_ports_bind_to_loopback_and_databases_have_none(
    document: dict[str, Any], services: dict[str, Any]
) -> None:
    published = {name: each["ports"] for name, each in services.items() if "ports" in each}

    assert set(published) == {"mlflow", "receiver", "replica-1", "replica-2", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert document["networks"]["data"]["internal"] is True
    for name in ("postgres", "minio", "redis"):
        assert services[name]["networks"] == ["data"]


def test_every_service_is_limited_restarted_and_checked(services: dict[str, Any]) -> None:
    for name, each in services.items():
        is_one_shot = name in ONE_SHOTS
        assert each["restart"] == ("no" if is_one_shot else "unless-stopped"), name
        assert is_one_shot != ("healthcheck" in each), name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert each["cap_drop"] == ["ALL"], name
        assert each["mem_limit"], name
        assert each["logging"]["options"]["max-size"], name
        assert each["stop_grace_period"] == "30s", name
        if "build" in each:
            assert each["init"] is True, name
            assert each["read_only"] is True, name


def test_who_waits_for_whom_is_there_and_can_be_waited_for(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for need, rule in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if need in ONE_SHOTS else "service_healthy"
            assert rule["condition"] == expected, (name, need)
            assert need in services, (name, need)


def test_volumes_and_networks_are_declared_and_mounted_files_exist(
    document: dict[str, Any], services: dict[str, Any]
) -> None:
    mounts = [each.split(":")[0] for s in services.values() for each in s.get("volumes", ())]
    named = {each for each in mounts if not each.startswith("./")}

    assert named == set(document["volumes"])
    assert {each for s in services.values() for each in s["networks"]} == set(document["networks"])
    assert [each for each in mounts if each.startswith("./") and not (ROOT / each).exists()] == []


def test_images_are_pinned_by_version(services: dict[str, Any]) -> None:
    bases = re.findall(r"^FROM (\S+)", "\n".join(d.read_text() for d in DOCKERFILES), re.MULTILINE)
    images = {each["image"] for each in services.values()} | set(bases)

    for image in images:
        assert re.search(r":(\w+\.)?v?\d+[.-]\d+", image), image
        assert not image.endswith(":latest"), image


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda file: file.parent.name)
def test_an_image_runs_as_a_numbered_user_without_compilers(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    last = text.rsplit("\nFROM ", 1)[1]

    assert re.search(r"^USER \d+:\d+$", last, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["', last, re.MULTILINE)
    assert not re.search(r"apt-get|gcc|build-essential|pip install", last)
    assert "-c constraints.txt" in text
    for source in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", text, re.MULTILINE):
        for path in source.split():
            assert (ROOT / path).exists(), path
            assert _may_be_copied(path), path


def _may_be_copied(path: str) -> bool:
    """Whether .dockerignore, which excludes everything first, lets a path in again."""
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"]
    return any(path == each or path.startswith(f"{each}/") for each in let_in)


def test_the_image_carries_every_package_and_the_extras_it_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = DOCKERFILES[0].read_text()
    packages = [
        each.rstrip("*") for each in project["tool"]["setuptools"]["packages"]["find"]["include"]
    ]

    assert set(packages) <= set(re.findall(r"^COPY (\w+) \w+$", text, re.MULTILINE))
    extras = set(re.findall(r"extras\['(\w+)'\]", text))
    assert extras == {"postgres", "s3"}
    assert extras <= set(project["project"]["optional-dependencies"])


def test_the_example_of_the_settings_names_what_the_file_asks_for() -> None:
    asked = set(re.findall(r"\$\{(\w+)", TEXT)) - {"SECRETS_DIR"}
    example = (ROOT / ".env.example").read_text()

    assert {name for name in asked if not re.search(rf"^#{name}=", example, re.MULTILINE)} == set()


def test_the_policy_of_the_stack_is_valid_and_acts_on_the_model_it_serves(
    services: dict[str, Any],
) -> None:
    policies = PolicySet.load(ROOT / "deploy/steward.yaml")
    replica = services["replica-1"]["command"]
    served = replica[replica.index("--model") + 1]

    assert policies.governing(ModelRef(served)).mode == Mode.ACT
    assert services["replica-2"]["command"][:-1] == replica[:-1]


def test_every_alert_fires_when_it_must_and_none_when_all_is_well() -> None:
    if not which("promtool"):
        missing("promtool is missing; .ci/run installs it.")
    folder = ROOT / "deploy/prometheus"
    alerts = set(re.findall(r"alert: (\w+)", (folder / "rules.yml").read_text()))

    tried = re.findall(
        r'alertname="(\w+)|alertname: (\w+)', (folder / "rules_test.yml").read_text()
    )

    assert {first for first, _ in tried if first} == {last for _, last in tried if last} == alerts
    subprocess.run(["promtool", "test", "rules", "rules_test.yml"], cwd=folder, check=True)


@pytest.mark.skipif(not which("docker"), reason="Docker is not installed")
def test_docker_compose_accepts_the_file(written: Path) -> None:
    docker = ["docker", "compose"]
    if subprocess.run([*docker, "version"], capture_output=True, check=False).returncode:
        pytest.skip("The plugin docker compose is not installed")

    subprocess.run(
        [*docker, "-f", str(FILE), "--env-file", str(written / ".env"), "config", "-q"],
        env={"PATH": os.environ["PATH"], "HOME": str(written)},
        check=True,
    )
