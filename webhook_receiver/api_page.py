"""GET /docs: every call of the OpenAPI document as one page, without scripts or anything remote."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

_MARKED = re.compile("`([^`]+)`")
_HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the page shows it. ``body`` and ``answers`` are examples, as JSON text."""

    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[dict[str, Any], ...]
    body: str
    answers: tuple[tuple[str, str, str], ...]  # status, what it means, example or ""


def install(app: FastAPI) -> None:
    """Serve the page at /docs."""
    templates = Environment(
        loader=PackageLoader("webhook_receiver"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    templates.filters["code"] = _with_code

    @app.get("/docs", include_in_schema=False)
    def show_docs() -> HTMLResponse:
        page = templates.get_template("api_page.html.j2").render(contents(app.openapi()))
        return HTMLResponse(page, headers=_HEADERS)


def contents(document: dict[str, Any]) -> dict[str, Any]:
    """What the page shows: the calls of each tag, in the document's order."""
    groups = []
    for tag in document["tags"]:
        calls = tuple(_calls(document, tag["name"]))
        groups.append({"name": tag["name"], "description": tag["description"], "calls": calls})
    return {"info": document["info"], "openapi": document["openapi"], "groups": groups}


def _calls(document: dict[str, Any], tag: str) -> Iterator[Call]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if tag in operation["tags"]:
                yield Call(
                    method=method.upper(),
                    path=path,
                    summary=operation["summary"],
                    description=operation.get("description", ""),
                    parameters=tuple(_parameter(each) for each in operation.get("parameters", ())),
                    body=_body(document, operation),
                    answers=tuple(
                        (status, answer["description"], _example(answer))
                        for status, answer in sorted(operation["responses"].items())
                    ),
                )


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    """Its name, where it goes, what it takes, and what it means."""
    schema = parameter["schema"]
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    takes = " or ".join(
        ", ".join(map(str, kind["enum"])) if "enum" in kind else kind.get("type", "")
        for kind in kinds
    )
    default = schema.get("default")
    return {
        "name": parameter["name"],
        "where": parameter["in"],
        "is_required": parameter.get("required", False),
        "takes": takes + (f", default {default}" if default not in (None, "") else ""),
        "description": parameter.get("description", ""),
    }


def _body(document: dict[str, Any], operation: dict[str, Any]) -> str:
    """The example of a request's body, else its fields."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return ""
    if "example" in content:
        return _json(content["example"])
    schema = content["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    examples = schema.get("examples")
    if examples:
        return _json(examples[0])
    required = schema.get("required", ())
    fields = schema.get("properties", {})
    return _json({name: "required" if name in required else "optional" for name in fields})


def _example(answer: dict[str, Any]) -> str:
    content = answer.get("content", {}).get("application/json", {})
    return _json(content["example"]) if "example" in content else ""


def _with_code(text: str) -> Markup:
    """Text whose `marked` words are shown as code."""
    return Markup(_MARKED.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  # escaped before


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
