"""MLflow's errors in our words: what a caller does next. Used by the two MLflow clients."""

import re
from typing import Any

from steward.errors import NotFoundError, PermanentError, StewardError, TransientError

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_FINAL_CODES = ("FEATURE_DISABLED", "NOT_IMPLEMENTED")
"""MLflow counts these among the 5xx; trying again changes nothing."""
_CLASHES = ("UNIQUE constraint failed", "duplicate key value", "Duplicate entry")
"""MLflow answers 400 when two writers insert one row (a tag, an alias) at once: the database's
words in SQLite, PostgreSQL and MySQL. Asked again it finds the row and updates it."""
_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS, _SERVER_ERROR = 408, 429, 500


def spoken(tracking_uri: str) -> str:
    """How messages call this server; without the credentials that a URI may carry."""
    return f"MLflow at {without_credentials(tracking_uri)}"


def without_credentials(text: str) -> str:
    """``text`` with ``user:password@`` cut out of every URL."""
    return _CREDENTIALS.sub("", text)


def is_transient(status: int) -> bool:
    """Whether an HTTP status means that asking again may work."""
    return status in (_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS) or status >= _SERVER_ERROR


def translated(error: Any, tracking_uri: str) -> StewardError:
    """Our error for an ``MlflowException``.

    Only MLflow's own "does not exist" means absence: the 404 page of a proxy must not look like a
    deletion, and MLflow reports that one as an unknown endpoint.
    """
    name = spoken(tracking_uri)
    if error.error_code == "RESOURCE_DOES_NOT_EXIST":
        return NotFoundError(f"{name} answers: {error.message}")
    if cause := _connection_failure(error):
        return TransientError(f"{name} cannot be reached: {without_credentials(cause)}.")
    message = without_credentials(error.message)
    if any(clash in error.message for clash in _CLASHES):
        return TransientError(f"{name} met another writer: {message.splitlines()[0]}")
    if error.error_code not in _FINAL_CODES and is_transient(error.get_http_status_code()):
        return TransientError(f"{name} failed: {message}")
    return PermanentError(f"{name} refuses: {message}")


def _connection_failure(error: BaseException) -> str | None:
    """The reason beneath MLflow's wrapping, where the request itself failed.

    MLflow raises while it handles the error of `requests`, whose first argument is urllib3's, whose
    reason says in one sentence what happened.
    """
    beneath = error.__cause__ or error.__context__
    if not isinstance(beneath, OSError) or not beneath.args:
        return None
    urllib3_error = beneath.args[0]
    reason = str(getattr(urllib3_error, "reason", urllib3_error))
    return re.sub(r"^\S*Connection(Pool)?\([^)]*\): ", "", reason).rstrip(".")
