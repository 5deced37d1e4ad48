"""RFC 9457 problem details: how a replica says no."""

from typing import Any

from fastapi.responses import JSONResponse


def problem(
    status: int, title: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any
) -> JSONResponse:
    """An answer that says what was wrong, for people and (``members``) for programs."""
    return JSONResponse(
        {"title": title, "status": status, "detail": detail, **members},
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )
