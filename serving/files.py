"""The files of a model's versions: fetched from the registry, kept in a cache on this machine.

The cache is what a replica starts from when the registry is away. Replicas of one model on one
machine share it: a directory appears complete, by one rename, or not at all.

    <data_dir>/replica-cache/<model>/versions/<version>-<key>/    the model's files
    <data_dir>/replica-cache/<model>/last-known-good.json         what was last served
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steward.errors import PermanentError, TransientError
from steward.events import ModelRef

_KEPT_VERSIONS = 5
_CHAMPION_ALIAS = "champion"
_PRODUCTION_STAGE = "Production"
_LOADED = ".loaded-by-steward"


@dataclass(frozen=True, slots=True)
class VersionFiles:
    """One version's files here; ``key`` tells apart two versions that had the same number."""

    version: str
    key: str
    path: Path


class ModelFiles:
    """The files of one model's versions. Every method blocks; the loader thread calls them."""

    def __init__(self, data_dir: Path, model: ModelRef, tracking_uri: str | None) -> None:
        slug = re.sub(r"[^A-Za-z0-9-]+", "_", model.name)[:60]
        name = f"{slug}-{_digest(model.lane('model'))}"
        self._model = model
        self._tracking_uri = tracking_uri
        self._root = data_dir.absolute() / "replica-cache" / name
        self._versions = self._root / "versions"
        self._last_known_good = self._root / "last-known-good.json"

    def champion(self) -> str | None:
        """The version with the alias ``champion``, else the latest in stage Production, else None.

        Raises:
            TransientError: the registry is away.

        """
        from mlflow.exceptions import MlflowException

        try:
            model = self._client().get_registered_model(self._model.name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise _away(error) from error
        except Exception as error:
            raise _away(error) from error
        if _CHAMPION_ALIAS in model.aliases:
            return str(model.aliases[_CHAMPION_ALIAS])
        for version in model.latest_versions or ():
            if version.current_stage == _PRODUCTION_STAGE:
                return str(version.version)
        return None

    def fetch(self, version: str) -> VersionFiles:
        """The version's files, downloaded unless they are here; from here if the registry is away.

        Raises:
            PermanentError: the registry has no such version, or it has no model files.
            TransientError: the registry or its artifact store is away, and nothing is cached.

        """
        from mlflow.exceptions import MlflowException

        try:
            info = self._client().get_model_version(self._model.name, version)
        except Exception as error:
            if isinstance(error, MlflowException) and error.error_code in (
                "RESOURCE_DOES_NOT_EXIST",
                "INVALID_PARAMETER_VALUE",
            ):
                raise PermanentError(f"The registry has no version {version}: {error}") from error
            cached = self._newest_cached(version)
            if cached is None:
                raise _away(error) from error
            return cached
        key = f"{version}-{_digest(f'{info.creation_timestamp} {info.source}')}"
        if not (self._versions / key).is_dir():
            self._download(version, key)
        return self._found(version, key)

    def remember(self, version: str, key: str) -> None:
        """Note what is served now: the last-known-good of the next start."""
        text = json.dumps({"version": version, "key": key})
        self._root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._root, delete=False) as file:
            file.write(text)
        Path(file.name).replace(self._last_known_good)

    def has_loaded(self, key: str) -> bool:
        """Whether a replica on this machine has loaded these files before."""
        return (self._versions / key / _LOADED).exists()

    def note_loaded(self, key: str) -> None:
        """Note that these files load here."""
        (self._versions / key / _LOADED).touch()

    def last_known_good(self) -> VersionFiles | None:
        """What a replica here last served, if its files are still here."""
        noted = self._noted()
        if noted is None or not (self._versions / noted["key"]).is_dir():
            return None
        return self._found(noted["version"], noted["key"])

    def evict(self, keep: frozenset[str]) -> None:
        """Remove all but the most recently used versions, those in ``keep`` and the noted one."""
        noted = self._noted()
        keep |= {noted["key"]} if noted else set()
        entries = sorted(self._versions.iterdir(), key=_used_at, reverse=True)
        for entry in entries[_KEPT_VERSIONS:]:
            if entry.name not in keep:
                shutil.rmtree(entry, ignore_errors=True)

    def _client(self) -> Any:
        """A client of this registry; MLflow resolves ``models:/`` only through its global one."""
        import mlflow

        if self._tracking_uri:
            mlflow.set_tracking_uri(self._tracking_uri)
        return mlflow.MlflowClient()

    def _download(self, version: str, key: str) -> None:
        import mlflow.artifacts

        self._versions.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._root, prefix=".partial-") as partial:
            uri = f"models:/{self._model.name}/{version}"
            try:
                files = Path(mlflow.artifacts.download_artifacts(uri, dst_path=f"{partial}/model"))
            except Exception as error:
                raise TransientError(
                    f"The files of version {version} could not be fetched: {error}"
                ) from error
            if not (files / "MLmodel").is_file():
                raise PermanentError(f"Version {version} holds no MLflow model (no MLmodel file).")
            try:
                files.rename(self._versions / key)
            except OSError:
                if not (self._versions / key).is_dir():  # else another replica was faster
                    raise

    def _found(self, version: str, key: str) -> VersionFiles:
        path = self._versions / key
        os.utime(path)
        return VersionFiles(version, key, path)

    def _newest_cached(self, version: str) -> VersionFiles | None:
        entries = sorted(self._versions.glob(f"{version}-*"), key=_used_at)
        return self._found(version, entries[-1].name) if entries else None

    def _noted(self) -> dict[str, str] | None:
        try:
            noted: dict[str, str] = json.loads(self._last_known_good.read_text())
        except (OSError, ValueError):
            return None
        return noted


def _used_at(entry: Path) -> float:
    return entry.stat().st_mtime


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _away(error: Exception) -> TransientError:
    return TransientError(f"The registry cannot be read: {str(error)[:300]}")
