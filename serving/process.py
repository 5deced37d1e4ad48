"""One replica as a process: its socket, its identity, and an orderly end. Called by the CLI."""

import logging
import os
import signal
import socket
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from serving.app import create_app
from steward import logs
from steward.errors import ConfigurationError
from steward.settings import Settings

_DRAIN_SECONDS = 6
_ENVIRONMENT = {
    # A registry that is away must be noticed in seconds: the replica has a cache to fall back on.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_CONFIGURE_LOGGING": "false",  # its records come out in our form
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


def run(
    settings: Settings,
    *,
    model: str,
    host: str = "127.0.0.1",
    port: int = 0,
    replica_id: str | None = None,
    registry: str = "default",
    workspace: str = "",
) -> None:
    """Serve ``model`` until SIGTERM or Ctrl-C; does not return. Port 0 takes any free one.

    Raises:
        ConfigurationError: no MLFLOW_TRACKING_URI, no usable data directory, or the address cannot
            be bound.

    """
    _check(settings)
    listener = _listen(host, port)
    _configure(settings, workspace)
    port = listener.getsockname()[1]
    app = create_app(
        settings,
        model=model,
        registry=registry,
        workspace=workspace,
        replica_id=replica_id or f"{model}-{socket.gethostname()}-{port}",
        url=settings.replica_url or f"http://{_reachable(host)}:{port}",
    )
    log = logs.get_logger()
    log.info("replica_listening", model=model, host=host, port=port)
    signal.signal(signal.SIGTERM, _end)  # uvicorn raises the signal again after it has drained
    code: int | str | None = 0
    try:
        _Server(app).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    except SystemExit as end:
        code = end.code
    log.info("replica_stopped", model=model)
    sys.stderr.flush()
    # A load or prediction that hangs in its thread must not hold the process.
    os._exit(code if isinstance(code, int) else 1)


def _check(settings: Settings) -> None:
    if not settings.mlflow_tracking_uri:  # MLflow would make a database of its own right here
        raise ConfigurationError(
            "MLFLOW_TRACKING_URI is not set. Set it to the MLflow server whose models this replica "
            "serves, such as http://mlflow.example.com:5000."
        )
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The replica cannot keep models in {settings.data_dir.absolute()}: {error.strerror}. "
            "Set STEWARD_DATA_DIR to a directory where this user may write."
        ) from error


def _configure(settings: Settings, workspace: str) -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if workspace:
        os.environ["MLFLOW_WORKSPACE"] = workspace
    logs.configure("replica", log_format=settings.log_format)
    # It warns of every request that does not fit the signature; the caller is told already.
    logging.getLogger("mlflow.pyfunc.scoring_server").setLevel(logging.ERROR)


class _Server(uvicorn.Server):
    """Says goodbye to the receiver before it drains, so that no rollout counts on this replica."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
            )
        )
        self._heartbeat = app.state.heartbeat

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._heartbeat.leave()
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    """Bound before anything else, so that a taken port is said at once and port 0 has a number."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"The replica cannot listen on {host}:{port}: {error.strerror}."
        ) from error


def _reachable(host: str) -> str:
    """How others write ``host`` in a URL; "every address" is this machine's name."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  # compared with, not bound to
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
