"""The one thread in which versions are fetched, loaded, warmed up and forgotten.

``serving/reload.py`` decides what to load and when; tests give it a Loader without files.
"""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from serving.files import ModelFiles
from serving.loading import import_mlflow, load_slot
from serving.slot import Slot, Table
from serving.trial import Trial
from steward.errors import TransientError


class Loader(Protocol):
    """Blocking calls, made one at a time from the loader thread."""

    def load(self, version: str, held: Slot | None) -> Slot:
        """The version, warm: ``held`` itself if that is still what the registry has.

        Raises:
            PermanentError: it does not load. TransientError: it could not be fetched.

        """
        ...

    def champion(self) -> str | None:
        """What the registry says is Production. TransientError if it is away."""
        ...

    def last_known_good(self) -> Slot | None:
        """What this machine last served, loaded from its own cache."""
        ...

    def settle(self, table: Table) -> None:
        """After a swap: note what is served, free what is not. TransientError: it could not."""
        ...


class FileLoader:
    """The real Loader: a model's files, and mlflow.

    ``trial``: where a version that never loaded on this machine is loaded first.
    """

    def __init__(self, files: ModelFiles, trial: Trial | None = None) -> None:
        self._files = files
        self._trial = trial

    def load(self, version: str, held: Slot | None) -> Slot:
        with _disk_errors():
            found = self._files.fetch(version)
        if held is not None and held.key == found.key:
            return held
        if self._trial is not None and not self._files.has_loaded(found.key):
            self._trial.warm()
            import_mlflow()  # at the same time as there
            self._trial.load(version, found.path)
        slot = load_slot(version, found.key, found.path)
        with _disk_errors():
            self._files.note_loaded(found.key)
        return slot

    def champion(self) -> str | None:
        return self._files.champion()

    def last_known_good(self) -> Slot | None:
        with _disk_errors():
            found = self._files.last_known_good()
        return load_slot(found.version, found.key, found.path) if found else None

    def settle(self, table: Table) -> None:
        with _disk_errors():
            if table.champion is not None:
                self._files.remember(table.champion.version, table.champion.key)
            self._files.evict(table.keys())
        _give_memory_back()


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransientError(f"The replica's cache cannot be used: {error}") from error


def _give_memory_back() -> None:
    """Without this a replica of large models keeps the pages of every version it ever served."""
    gc.collect()
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        except (OSError, AttributeError):
            return  # another C library: nothing to trim
