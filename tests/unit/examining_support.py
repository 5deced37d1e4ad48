"""What the units of an examination share: the parts of the outside that none of them looks at."""

from collections.abc import Mapping
from pathlib import Path

from steward.events import ModelRef
from steward.ports import DatasetInput, ModelFiles, VersionInfo


class KeepsNothing:
    """ports.ModelStore and the runs of ports.Datasets; files are named by their version."""

    def files(self, version: VersionInfo, into: Path) -> ModelFiles:
        return ModelFiles(into, version.version, 1)

    def of_run(self, model: ModelRef, run_id: str) -> list[DatasetInput]:
        return []

    def keep_metrics(
        self, version: VersionInfo, metrics: Mapping[str, float], *, dataset: str, digest: str
    ) -> None:
        raise AssertionError("nothing is kept here")

    def keep_report(self, version: VersionInfo, files: Mapping[str, bytes]) -> str | None:
        raise AssertionError("nothing is kept here")
