"""Structured logs: snake_case event names and fields; one line each, JSON unless at a terminal."""

import logging
import sys
from typing import Literal

import structlog

_NOISY = ("httpx", "alembic", "urllib3", "kombu", "celery.bootsteps", "mlflow", "matplotlib")


def configure(
    role: str, *, log_format: Literal["auto", "json", "console"] = "auto", level: int = logging.INFO
) -> None:
    """Set up logging of one process; other libraries' log records come out in the same form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    is_console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if is_console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    _replace_handlers(formatter, level)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(role=role)


def _replace_handlers(formatter: logging.Formatter, level: int) -> None:
    """All records go to standard error in this form; of noisy libraries, warnings alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def get_logger() -> structlog.stdlib.BoundLogger:
    """The logger of the calling module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger()
    return logger
