"""The port ModelStore: a version's files out of MLflow, and an examination's results into it.

`steward.wiring` makes one a process; :meth:`MlflowModelStore.asking` binds it to one dispatch.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import Any, Self

from steward.clients.datasets import translated_artifacts
from steward.clients.mlflow_evidence import MAX_COPIES, logged_model_id
from steward.clients.mlflow_registry import in_workspace
from steward.errors import PermanentError
from steward.ports import ModelFiles, VersionInfo, copy_of

MOST_METRICS = 1000
"""In one request to MLflow."""
MAX_BYTES = 4 * 1024**3
FOLDER = "validation"


class MlflowModelStore:
    """Downloads with a limit on the size; writes only where the run still exists."""

    def __init__(self, tracking_uri: str, *, max_bytes: int = MAX_BYTES) -> None:
        from mlflow import MlflowClient

        self._uri = tracking_uri
        self._max_bytes = max_bytes
        self._client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        self._before_write: Callable[[], None] = lambda: None

    def asking(self, before_write: Callable[[], None]) -> Self:
        """The same store, for one dispatch: each write first calls ``before_write``."""
        mine = copy(self)
        mine._before_write = before_write  # noqa: SLF001  # a copy of our own
        return mine

    def files(self, version: VersionInfo, into: Path) -> ModelFiles:
        from mlflow.artifacts import download_artifacts

        with in_workspace(version.model.workspace), translated_artifacts(self._uri):
            location = self._location(version.source)
            size = sum(self._sizes(location, ""))
            if size > self._max_bytes:
                raise PermanentError(
                    f"version {version.version} has {size} bytes of files; "
                    f"at most {self._max_bytes} are examined"
                )
            path = Path(
                download_artifacts(
                    artifact_uri=location, dst_path=str(into), tracking_uri=self._uri
                )
            )
        return digest_of(path)

    def keep_metrics(
        self, version: VersionInfo, metrics: Mapping[str, float], *, dataset: str, digest: str
    ) -> None:
        from mlflow.entities import Metric

        model_id = logged_model_id(version.source)
        with in_workspace(version.model.workspace), translated_artifacts(self._uri):
            run_id = version.run_id or self._source_run(model_id)
            if run_id is None or not metrics:
                return
            self._before_write()
            now = int(time.time() * 1000)
            told = [
                Metric(
                    name,
                    value,
                    now,
                    0,
                    model_id=model_id,
                    dataset_name=dataset if model_id else None,
                    dataset_digest=digest if model_id else None,
                    run_id=run_id,
                )
                for name, value in metrics.items()
            ]
            for start in range(0, len(told), MOST_METRICS):
                self._client.log_batch(run_id, metrics=told[start : start + MOST_METRICS])

    def keep_report(self, version: VersionInfo, files: Mapping[str, bytes]) -> str | None:
        with (
            in_workspace(version.model.workspace),
            translated_artifacts(self._uri),
            tempfile.TemporaryDirectory() as directory,
        ):
            run_id = version.run_id or self._source_run(logged_model_id(version.source))
            if run_id is None:
                return None
            self._before_write()
            for name, content in files.items():
                path = Path(directory) / name
                path.write_bytes(content)
                self._client.log_artifact(run_id, str(path), FOLDER)
        return f"runs:/{run_id}/{FOLDER}"

    def _location(self, source: str) -> str:
        """Where the files are: behind copies of versions, and behind a logged model."""
        for _ in range(MAX_COPIES):
            origin = copy_of(source)
            if origin is None:
                break
            source = self._client.get_model_version(*origin).source
        model_id = logged_model_id(source)
        if model_id is None:
            return source
        return str(self._client.get_logged_model(model_id).artifact_location)

    def _source_run(self, model_id: str | None) -> str | None:
        return self._client.get_logged_model(model_id).source_run_id if model_id else None

    def _sizes(self, location: str, folder: str) -> Iterator[int]:
        """Sizes in bytes of every file beneath an address, as its store tells them."""
        from mlflow.artifacts import list_artifacts

        uri = f"{location.rstrip('/')}/{folder}" if folder else location
        found: list[Any] = list_artifacts(artifact_uri=uri, tracking_uri=self._uri)
        for file in found:
            if file.is_dir:
                yield from self._sizes(uri, Path(file.path).name)
            else:
                yield file.file_size or 0


def digest_of(path: Path) -> ModelFiles:
    """The files of a directory with one sha256 (hex) over the names and contents of all.

    Raises:
        PermanentError: there are none.

    """
    total, size = hashlib.sha256(), 0
    files = sorted(file for file in path.rglob("*") if file.is_file())
    if not files:
        raise PermanentError("the version has no files")
    for file in files:
        with file.open("rb") as content:
            one = hashlib.file_digest(content, "sha256").hexdigest()
        total.update(f"{file.relative_to(path).as_posix()}\0{one}\n".encode())
        size += file.stat().st_size
    return ModelFiles(path, total.hexdigest(), size)
