"""The port Datasets: tables from files, S3 and MLflow's artifacts, and what a run says it used.

`steward.wiring` makes one a process; the examination loads the holdout and the reference with it.
"""

import hashlib
import io
import json
import tempfile
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from steward.clients.mlflow_errors import translated, without_credentials
from steward.clients.mlflow_registry import in_workspace
from steward.clients.mlflow_values import dataset_input
from steward.errors import PermanentError, StewardError, TransientError
from steward.events import ModelRef
from steward.ports import DatasetInput, Table

MAX_BYTES = 512 * 1024 * 1024
"""A larger file is refused: a million rows of fifty numbers fit many times."""
_KEPT = 2
"""Tables kept in memory: a holdout and its reference."""
_ARTIFACTS = ("runs", "mlflow-artifacts", "models")
_TABLES = (".parquet", ".pq", ".csv", ".csv.gz")
_HOLDOUTS = "holdout"


class MlflowDatasets:
    """Loads tables; of one content the parsed table is kept, whatever address it came from."""

    def __init__(self, tracking_uri: str, *, max_bytes: int = MAX_BYTES) -> None:
        self._uri = tracking_uri
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[str, str | None], Table] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, uri: str, *, label: str | None = None, sha256: str | None = None) -> Table:
        content = self._read(uri)
        digest = hashlib.sha256(content).hexdigest()
        if sha256 is not None and digest != sha256:
            raise PermanentError(
                f"{_shown(uri)} has sha256 {digest[:12]}..., the policy pins {sha256[:12]}..."
            )
        with self._lock:
            kept = self._kept.get((digest, label))
        if kept is not None:
            return Table(_name(uri), _shown(uri), digest, kept.frame, kept.digests)
        frame = _parse(uri, content)
        table = Table(_name(uri), _shown(uri), digest, frame, _digests(frame, label))
        with self._lock:
            self._kept[digest, label] = table
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return table

    def of_run(self, model: ModelRef, run_id: str) -> list[DatasetInput]:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        with in_workspace(model.workspace), translated_artifacts(self._uri):
            run = client.get_run(run_id)
            stored = client.list_artifacts(run_id, _HOLDOUTS)
        inputs = run.inputs.dataset_inputs if run.inputs else []
        found = [replace(dataset_input(used), uri=_source(used.dataset.source)) for used in inputs]
        return found + [
            DatasetInput(
                PurePosixPath(file.path).name, "", _HOLDOUTS, uri=f"runs:/{run_id}/{file.path}"
            )
            for file in stored
            if file.path.endswith(".parquet")
        ]

    def _read(self, uri: str) -> bytes:
        scheme = urlsplit(uri).scheme
        if scheme in _ARTIFACTS:
            return self._read_artifact(uri)
        if scheme == "s3":
            return self._read_s3(uri)
        if scheme in ("", "file"):
            return self._read_file(Path(unquote(urlsplit(uri).path) if scheme else uri), uri)
        raise PermanentError(
            f"{_shown(uri)}: cannot read {scheme}:; use a file, s3://, runs:/ or mlflow-artifacts:"
        )

    def _read_file(self, path: Path, uri: str) -> bytes:
        try:
            self._check_size(path.stat().st_size, uri)
            return path.read_bytes()
        except OSError as error:
            raise PermanentError(f"{_shown(uri)} cannot be read: {error.strerror}") from error

    def _read_artifact(self, uri: str) -> bytes:
        from mlflow.artifacts import download_artifacts

        with tempfile.TemporaryDirectory() as directory, translated_artifacts(self._uri):
            path = Path(
                download_artifacts(artifact_uri=uri, dst_path=directory, tracking_uri=self._uri)
            )
            return self._read_file(path, uri)

    def _read_s3(self, uri: str) -> bytes:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        place = urlsplit(uri)
        try:
            answer = boto3.client("s3").get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))
            self._check_size(answer["ContentLength"], uri)
            content: bytes = answer["Body"].read()
        except ClientError as error:
            raise PermanentError(f"{_shown(uri)} cannot be read: {error}") from error
        except BotoCoreError as error:
            raise TransientError(f"{_shown(uri)} cannot be reached: {error}") from error
        return content

    def _check_size(self, size: int, uri: str) -> None:
        if size > self._max_bytes:
            mib = self._max_bytes // 2**20
            raise PermanentError(f"{_shown(uri)} has {size} bytes; at most {mib} MiB are read")


@contextmanager
def translated_artifacts(tracking_uri: str) -> Iterator[None]:
    """MLflow's errors in our words; its artifact stores raise kinds of their own."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except StewardError:
        raise
    except MlflowException as error:
        raise translated(error, tracking_uri) from error
    except Exception as error:
        text = without_credentials(str(error))
        raise PermanentError(f"an artifact cannot be read: {text}") from error


def _parse(uri: str, content: bytes) -> Any:
    """The frame; parquet is known by its first bytes, anything else must be CSV by its name."""
    import pandas as pd

    path = urlsplit(uri).path.lower()
    try:
        if content[:4] == b"PAR1":
            frame = pd.read_parquet(io.BytesIO(content))
        elif path.endswith((".csv", ".csv.gz")):
            packed = "gzip" if path.endswith(".gz") else None
            frame = pd.read_csv(io.BytesIO(content), compression=packed)
        else:
            raise PermanentError(f"{_shown(uri)} is neither a parquet file nor named .csv")
    except (ValueError, OSError) as error:  # pyarrow's and pandas' parser errors are ValueErrors
        raise PermanentError(f"{_shown(uri)} is not a table: {error}") from error
    if frame.empty:
        raise PermanentError(f"{_shown(uri)} has no rows")
    frame.columns = [str(column) for column in frame.columns]
    return frame


def _digests(frame: Any, label: str | None) -> frozenset[str]:
    """How MLflow would name the table, with and without its label."""
    from mlflow.data.digest_utils import compute_pandas_digest

    frames = [frame] + ([frame.drop(columns=label)] if label in frame.columns else [])
    with warnings.catch_warnings(action="ignore"):  # MLflow's way of asking pandas is outdated
        return frozenset(compute_pandas_digest(one) for one in frames)


def _source(source: str) -> str | None:
    """The address in MLflow's JSON of a source; None for code, HTTP and what is no table."""
    try:
        uri = json.loads(source).get("uri")
    except (ValueError, AttributeError):
        return None
    if not isinstance(uri, str) or not urlsplit(uri).path.lower().endswith(_TABLES):
        return None
    return uri if urlsplit(uri).scheme in ("", "file", "s3", *_ARTIFACTS) else None


def _name(uri: str) -> str:
    return PurePosixPath(urlsplit(uri).path).name or uri


def _shown(uri: str) -> str:
    return without_credentials(uri)
