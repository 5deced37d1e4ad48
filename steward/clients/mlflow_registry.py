"""The port Registry on MLflow's own client: the one module of the ground that imports MLflow.

`steward.wiring` calls :func:`configure_environment` before anything imports MLflow, and makes one
:class:`MlflowRegistry` a process; handlers and the poller ask it, from many threads.
"""

import math
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from typing import Any, Self

import prometheus_client

from steward.clients.mlflow_errors import spoken, translated
from steward.clients.mlflow_evidence import LoggedModelFacts, RunFacts, gather
from steward.clients.mlflow_values import (
    logged_model_facts,
    model_info,
    quoted,
    run_facts,
    signature,
    version_info,
)
from steward.errors import PermanentError, TransientError
from steward.events import ModelRef
from steward.failpoints import failpoint
from steward.logs import get_logger
from steward.ports import Evidence, ModelInfo, ModelPage, Signature, VersionInfo

log = get_logger()

REQUESTS = prometheus_client.Counter(
    "steward_registry_requests", "Requests to the registry, by operation.", ["operation"]
)
STAGES_THAT_CAN_BE_EMPTIED = ("staging", "production")
_PAGE = 1000


def configure_environment() -> None:
    """Give MLflow short time limits and no telemetry, where nobody chose otherwise.

    Steward's own retries are the ones that count: they wait without holding a thread, and read
    before they write again. MLflow's repeat a write whose answer was lost as blindly as a read.
    """
    for name, value in {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }.items():
        os.environ.setdefault(name, value)


class MlflowRegistry:
    """One MLflow tracking server as a model registry; ``requests`` counts by operation."""

    def __init__(self, tracking_uri: str, *, name: str = "default") -> None:
        from mlflow import MlflowClient

        self.name = name
        self.requests: Counter[str] = Counter()
        self._uri = tracking_uri
        self._client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        self._before_write: Callable[[], None] = lambda: None

    def asking(self, before_write: Callable[[], None]) -> Self:
        """The same registry, for one dispatch: each write first calls ``before_write``.

        It may raise. MLflow takes a write from anybody at any time, so this is the last moment to
        notice that a worker which stood still has lost its dispatch to another.
        """
        mine = copy(self)
        mine._before_write = before_write  # noqa: SLF001  # a copy of our own
        return mine

    # --- the port ---------------------------------------------------------------------------

    def model(self, model: ModelRef) -> ModelInfo:
        found = self._ask("get_registered_model", model.workspace, model.name)
        return model_info(found, self.name, model.workspace)

    def version(self, model: ModelRef, version: str) -> VersionInfo:
        found = self._ask("get_model_version", model.workspace, model.name, version)
        return version_info(found, model)

    def versions(self, model: ModelRef) -> list[VersionInfo]:
        found: list[VersionInfo] = []
        token = None
        while True:
            page = self._ask(
                "search_model_versions",
                model.workspace,
                filter_string=f"name={quoted(model.name)}",
                max_results=_PAGE,
                order_by=["version_number ASC"],
                page_token=token,
            )
            found += [version_info(version, model) for version in page]
            token = page.token
            if not token:
                return sorted(found, key=lambda version: int(version.version))

    def models(self, *, page_token: str | None = None, max_results: int = 100) -> ModelPage:
        page = self._ask(
            "search_registered_models",
            "",
            max_results=max_results,
            order_by=["last_updated_timestamp DESC", "name ASC"],
            page_token=page_token,
        )
        return ModelPage(
            tuple(model_info(found, self.name, "") for found in page), page.token or None
        )

    def evidence(self, version: VersionInfo, *, with_signature: bool = False) -> Evidence:
        return gather(version, self, with_signature=with_signature)

    def set_stage(
        self, model: ModelRef, version: str, stage: str, *, archive_existing: bool
    ) -> None:
        if archive_existing and stage.lower() not in STAGES_THAT_CAN_BE_EMPTIED:
            # MLflow answers 500, which would look as if trying again could help.
            raise PermanentError(f"MLflow empties only Staging and Production, not {stage!r}.")
        self._write(
            "transition_model_version_stage",
            model,
            version,
            stage,
            archive_existing_versions=archive_existing,
        )

    def set_alias(self, model: ModelRef, alias: str, version: str) -> None:
        self._write("set_registered_model_alias", model, alias, version)

    def delete_alias(self, model: ModelRef, alias: str) -> None:
        self._write("delete_registered_model_alias", model, alias)

    def set_version_tag(self, model: ModelRef, version: str, key: str, value: str) -> None:
        self._write("set_model_version_tag", model, version, key, value)

    def delete_version_tag(self, model: ModelRef, version: str, key: str) -> None:
        self._write("delete_model_version_tag", model, version, key)

    # --- what evidence reads ------------------------------------------------------------------

    def run(self, model: ModelRef, run_id: str) -> RunFacts:
        """One run with its latest metrics. NotFoundError if MLflow answers 404."""
        return run_facts(self._ask("get_run", model.workspace, run_id))

    def logged_model(self, model: ModelRef, model_id: str) -> LoggedModelFacts:
        """One logged model with every metric. NotFoundError if MLflow answers 404."""
        return logged_model_facts(self._ask("get_logged_model", model.workspace, model_id))

    def was_nan(self, model: ModelRef, run_id: str, name: str, timestamp_ms: int) -> bool:
        """Whether the run's history has a NaN of that name at that time."""
        history = self._ask("get_metric_history", model.workspace, run_id, name)
        return any(
            metric.timestamp == timestamp_ms and math.isnan(metric.value) for metric in history
        )

    def signature(self, model: ModelRef, artifact_uri: str) -> Signature | None:
        """What the model stored there takes and answers; None if its files cannot be read."""
        from mlflow.artifacts import download_artifacts
        from mlflow.models import Model

        self._count("read_mlmodel")
        uri = f"{artifact_uri.rstrip('/')}/MLmodel"
        with in_workspace(model.workspace), tempfile.TemporaryDirectory() as directory:
            try:
                path = download_artifacts(uri, dst_path=directory, tracking_uri=self._uri)
                return signature(Model.load(path).signature)
            except Exception as error:  # noqa: BLE001  # each artifact store raises its own kinds
                log.info("mlmodel_unreadable", artifact_uri=uri, error=str(error))
                return None

    # --- the border ---------------------------------------------------------------------------

    def _ask(self, operation: str, workspace: str, *args: Any, **kwargs: Any) -> Any:
        return self._call(operation, workspace, getattr(self._client, operation), *args, **kwargs)

    def _write(self, operation: str, model: ModelRef, *args: Any, **kwargs: Any) -> None:
        """Call MLflow's registry client, beneath MlflowClient.

        There each write first reads the model, in case it is a prompt, and a stage change warns
        that stages are deprecated: twice the requests, and a log line, for nothing.
        """
        failpoint("registry.before_write")
        self._before_write()
        failpoint("registry.before_send")
        beneath = self._client._get_registry_client()  # noqa: SLF001  # no public way; tested
        self._call(
            operation, model.workspace, getattr(beneath, operation), model.name, *args, **kwargs
        )
        failpoint("registry.after_write")

    def _call(
        self,
        operation: str,
        workspace: str,
        function: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Call MLflow in one workspace, count it, and speak of its errors in our words."""
        from mlflow.exceptions import MlflowException

        self._count(operation)
        with in_workspace(workspace):
            try:
                return function(*args, **kwargs)
            except MlflowException as error:
                raise translated(error, self._uri) from error
            except OSError as error:
                raise TransientError(f"{spoken(self._uri)} cannot be reached: {error}") from error
            except ValueError as error:
                raise PermanentError(
                    f"{spoken(self._uri)} does not answer as MLflow does: {error}"
                ) from error

    def _count(self, operation: str) -> None:
        self.requests[operation] += 1
        REQUESTS.labels(operation).inc()


def in_workspace(workspace: str) -> AbstractContextManager[Any]:
    """Bind MLflow's workspace for the calls of this thread.

    The server's context binds a context variable alone; the client's also writes ``os.environ``,
    which every thread shares. Without a workspace, what MLFLOW_WORKSPACE says stands.
    """
    from mlflow.utils.workspace_context import ServerWorkspaceContext

    return ServerWorkspaceContext(workspace) if workspace else nullcontext()


def rest_call(
    tracking_uri: str, method: str, path: str, body: dict[str, Any], *, timeout_seconds: float = 10
) -> tuple[int, str]:
    """One call of MLflow's REST API with the user's MLflow credentials: its status and text.

    Unlike the client's methods it does not hide what the server said behind retries, and its
    connections are not kept, so that each call may meet another of the server's workers. Raises
    TransientError only when there is no answer in time.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        answer = http_request(
            get_default_host_creds(tracking_uri),
            path,
            method,
            max_retries=0,
            raise_on_status=False,
            timeout=timeout_seconds,
            extra_headers={"Connection": "close"},
            **{"params" if method == "GET" else "json": body},
        )
    except MlflowException as error:
        raise translated(error, tracking_uri) from error
    # Not every server answers that it closes; MLflow's session would keep such a connection, and
    # the next call would meet one that is being closed.
    answer.connection.close()
    return answer.status_code, answer.text
