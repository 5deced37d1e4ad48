"""Rows to score on, the files of versions, and where what was found is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from steward.events import ModelRef
from steward.ports.registry import DatasetInput, VersionInfo
from steward.ports.sandbox import ModelFiles

if TYPE_CHECKING:  # they take a second to import, and most roles never need them
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows of a dataset with named columns, and what identifies their content.

    ``sha256`` is of the bytes they were read from; ``digests`` are MLflow's short ones of the whole
    table and of the table without ``label``, as a run's dataset inputs would name them.
    """

    name: str
    uri: str
    sha256: str
    frame: "pd.DataFrame"
    digests: frozenset[str] = frozenset()


class Datasets(Protocol):
    """Where rows come from."""

    def load(self, uri: str, *, label: str | None = None, sha256: str | None = None) -> Table:
        """The table at an address.

        PermanentError: it is not there, not a table, too large, or not the content that ``sha256``
        pins. TransientError: its store is away.
        """
        ...

    def of_run(self, model: ModelRef, run_id: str) -> list[DatasetInput]:
        """The datasets that a run used, then its artifacts ``holdout/*.parquet`` (as holdout)."""
        ...


class ModelStore(Protocol):
    """A version's files, and what an examination leaves beside them."""

    def files(self, version: VersionInfo, into: Path) -> ModelFiles:
        """Download the version's files. PermanentError: not there, or too large."""
        ...

    def keep_metrics(
        self, version: VersionInfo, metrics: Mapping[str, float], *, dataset: str, digest: str
    ) -> None:
        """Log metrics on the version's run and logged model, with the dataset they are from."""
        ...

    def keep_report(self, version: VersionInfo, files: Mapping[str, bytes]) -> str | None:
        """Log files as artifacts of the version's run, in its folder ``validation``.

        Returns that folder's address, ``runs:/<run_id>/validation``; None for a version of no run.
        """
        ...
