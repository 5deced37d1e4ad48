"""RFC 9457 problem details: how the receiver says no, everywhere."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from steward.errors import DeliveryRejected, JournalUnavailableError, UnstorableError
from steward.logs import get_logger

# How pydantic's commonest findings are said, after the name of what is wrong.
_TOLD = {
    "missing": "is missing",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than_equal": "must be greater than or equal to {ge}",
    "less_than_equal": "must be less than or equal to {le}",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "literal_error": "must be {expected}",
}
MEDIA_TYPE = "application/problem+json"
log = get_logger()


class ProblemError(Exception):
    """An operator's call is refused: an HTTP status, a code for programs, a sentence for people."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
        self.members = members


def problem(
    status: int,
    detail: str,
    *,
    code: str = "",
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """An answer that says what was wrong, for people and (``code``, members) for programs."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return JSONResponse(
        {**document, "detail": detail, "code": code or _code_of(status), **members},
        status_code=status,
        headers=dict(headers) if headers else None,
        media_type=MEDIA_TYPE,
    )


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` in this form."""

    @app.exception_handler(ProblemError)
    async def _refused(_request: Request, error: ProblemError) -> Response:
        return problem(
            error.status, error.detail, code=error.code, headers=error.headers, **error.members
        )

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        detail = f"{request.method} {request.url.path}: {error.detail}"
        return problem(error.status_code, detail, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> Response:
        errors = error.errors()
        wrong = [{"at": ".".join(map(str, each["loc"])), "problem": _told(each)} for each in errors]
        return problem(422, told(errors), code="invalid", errors=wrong)

    @app.exception_handler(DeliveryRejected)
    async def _rejected(_request: Request, error: DeliveryRejected) -> Response:
        return problem(error.status, error.detail, code=error.reason)

    @app.exception_handler(JournalUnavailableError)
    async def _unavailable(_request: Request, error: JournalUnavailableError) -> Response:
        headers = {"retry-after": "2"}
        return problem(503, str(error), code="journal_unavailable", headers=headers)

    @app.exception_handler(UnstorableError)
    async def _unstorable(_request: Request, error: UnstorableError) -> Response:
        return problem(422, str(error), code="invalid")

    @app.exception_handler(Exception)
    async def _failed(request: Request, error: Exception) -> Response:
        log.error("request_failed", path=request.url.path, exc_info=error)
        return problem(500, "Steward failed to answer; its log says why.")


def told(errors: Sequence[Mapping[str, Any]]) -> str:
    """What pydantic found, as one sentence for people: names, not places in our code."""
    return "; ".join(f"{_name(each)} {_told(each)}".strip() for each in errors)


def _told(error: Mapping[str, Any]) -> str:
    kind, values = error["type"], error.get("ctx", {})
    if kind == "string_too_short" and values.get("min_length") == 1:
        return "must not be empty"
    if kind in _TOLD:
        return _TOLD[kind].format(**values)
    message: str = error["msg"]
    return message.removeprefix("Value error, ")


def _name(error: Mapping[str, Any]) -> str:
    """Of the wrong part, without where it came from; a message of pydantic's own gets a colon."""
    name = ".".join(str(part) for part in error["loc"][1:])
    is_clause = _told(error).startswith(("must ", "is "))
    return name if is_clause or not name else f"{name}:"


def _code_of(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "_")
