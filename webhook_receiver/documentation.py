"""What OpenAPI says about the receiver, and about the routes that stand beside FastAPI's own."""

from typing import Any

from fastapi import FastAPI

ABOUT: dict[str, Any] = {
    "title": "Steward",
    "version": "1",
    "description": (
        "Events of the MLflow Model Registry: what arrived, what was done about it, and why. "
        "Reading from this machine needs no token; everything else needs "
        "`Authorization: Bearer TOKEN` (`steward token create`). Errors are RFC 9457 problem "
        "details."
    ),
    "docs_url": None,  # our own page instead: FastAPI's fetches its scripts from elsewhere
    "redoc_url": None,
    "openapi_tags": [
        {"name": "webhooks", "description": "Deliveries, signed by their sender"},
        {"name": "events", "description": "What was journalled, and what became of it"},
        {"name": "replay", "description": "Asking again; `dry_run` says what would happen"},
        {"name": "models", "description": "State, verdicts and causes, from the journal"},
        {"name": "receipts", "description": "Decisions as documents, chained by hash"},
        {"name": "approvals", "description": "What people say about a version, and what waits"},
        {"name": "commands", "description": "Roll back, pause, resume"},
        {"name": "replicas", "description": "What should be served, and is"},
        {"name": "status", "description": "How this installation is doing"},
    ],
}
_PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "The reason, for programs"},
    },
    "required": ["type", "title", "status", "detail", "code"],
}
_REFUSALS = {
    "400": "Not JSON (kept, with the reason)",
    "401": "The signature is missing, wrong or stale",
    "413": "Larger than 256 KiB",
    "422": "JSON of the wrong form (kept, with the reason)",
    "503": "The journal cannot take it now; send it again",
}
_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token of `steward token create`. Loopback reads without one.",
}
_HEADERS = ("X-MLflow-Signature", "X-MLflow-Timestamp", "X-MLflow-Delivery-Id")


def install(app: FastAPI) -> None:
    """Add the webhook routes and the form of errors to the OpenAPI document of ``app``."""
    generate = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = _PROBLEM
            document["paths"] |= {
                "/webhooks/mlflow": {"post": _webhook("receive_mlflow")},
                "/webhooks/mlflow/{registry}": {"post": _webhook("receive_mlflow_of_registry")},
            }
            _say_operators(document)
            _say_problems(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _say_operators(document: dict[str, Any]) -> None:
    """Who may call, and how those are refused, is the same for every operator's call."""
    document["components"]["securitySchemes"] = {"token": _TOKEN}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if not path.startswith("/api/v1/") or method == "put":  # replicas sign theirs
                continue
            if "422" in operation["responses"]:
                operation["responses"]["422"]["description"] = "What was asked is wrong"
            operation["security"] = [{"token": []}, {}]
            operation["responses"].setdefault("401", {"description": "Who calls is not known"})
            if "{" in path:
                told = {"description": "The journal does not know it"}
                operation["responses"].setdefault("404", told)


def _say_problems(document: dict[str, Any]) -> None:
    """Every answer above 399 has the same form, so it is said in one place."""
    form = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path in document["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if status.isdigit() and int(status) >= 400:  # noqa: PLR2004  # HTTP's own line
                    answer["content"] = form


def _webhook(operation_id: str) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
        for name in _HEADERS
    ]
    if operation_id.endswith("registry"):
        parameters.append(
            {"name": "registry", "in": "path", "required": True, "schema": {"type": "string"}}
        )
    accepted = {"event_id": "019a9d5e-4c1f-7c3a-8f0e-2f9f5f3f9a11", "duplicate": False}
    return {
        "operationId": operation_id,
        "tags": ["webhooks"],
        "summary": "A delivery of MLflow's own webhooks",
        "description": "Answered once the event is durable. The signature is over "
        "`id.timestamp.body`; deliveries older than 300 s are refused. `event_id` is null for a "
        "test delivery, and for news of what was known before events were kept.",
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "example": {
                        "entity": "model_version",
                        "action": "created",
                        "timestamp": "2026-03-01T12:00:00.120000+00:00",
                        "data": {
                            "name": "fraud",
                            "version": "7",
                            "source": "models:/m-3f9a11",
                            "run_id": None,
                            "tags": {},
                            "description": None,
                        },
                    }
                }
            },
        },
        "responses": {
            "202": {
                "description": "Durable",
                "content": {"application/json": {"example": accepted}},
            },
            **{status: {"description": said} for status, said in _REFUSALS.items()},
        },
    }
