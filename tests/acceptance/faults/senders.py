"""What the faults at the front door need: MLflow's silence, and deliveries sent byte by byte."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from typing import Any, NamedTuple

from sqlalchemy import Select, select

from steward.journal.schema import deliveries, events
from tests.acceptance.faults.invariants import rows
from tests.acceptance.faults.looking import journal_of
from tests.acceptance.faults.site import SECRET, Site
from tests.deliveries import signed
from tests.models import client_of

PATH = "/webhooks/mlflow"


class Told(NamedTuple):
    """One answer: its status and its JSON."""

    status: int
    document: dict[str, Any]


@contextmanager
def unheard(site: Site) -> Iterator[None]:
    """In the block nobody but the test tells Steward of the registry: no webhook, no poller."""
    client = client_of(site.mlflow.url)
    ours = [hook for hook in client.list_webhooks() if hook.url.startswith(site.url)]
    assert ours, "the site is not connected"
    for hook in ours:
        client.update_webhook(hook.webhook_id, status="DISABLED")
    site.stop("poller")
    try:
        yield
    finally:
        for hook in ours:
            client.update_webhook(hook.webhook_id, status="ACTIVE")
        site.start("poller")


def journalled(site: Site, query: Select[Any]) -> list[Any]:
    """What the journal holds, read from its database and not through Steward."""
    with journal_of(site) as engine:
        return rows(engine, query)


def deliveries_of(site: Site, model: str) -> list[Any]:
    """The deliveries that tell of registered versions of a model, and which version each tells of.

    (MLflow also delivers what Steward writes, whenever it likes.)
    """
    query = (
        select(deliveries, events.c.version)
        .join(events, events.c.id == deliveries.c.event_id)
        .where(events.c.model == model, events.c.type == "model_version.created")
        .order_by(deliveries.c.seq)
    )
    return journalled(site, query)


def events_of(site: Site, model: str, event_type: str = "model_version.created") -> list[Any]:
    """The events of one type about a model, oldest first."""
    table = events.c
    query = select(events).where(table.model == model, table.type == event_type)
    return journalled(site, query.order_by(table.seq))


def request(
    body: bytes, headers: Mapping[str, str | bytes], *, path: str = PATH, length: int | None = None
) -> bytes:
    """The bytes of a POST; ``length`` may lie."""
    lines = [f"POST {path} HTTP/1.1".encode(), b"host: localhost"]
    for name, value in headers.items():
        lines.append(name.encode() + b": " + (value.encode() if isinstance(value, str) else value))
    lines.append(b"content-length: %d" % (len(body) if length is None else length))
    return b"\r\n".join([*lines, b"", body])


def letter(document: Any, **how: Any) -> bytes:
    """The bytes of a signed delivery; ``how`` as ``tests.deliveries.signed`` takes it."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return request(body, signed(body, **{"secret": SECRET, **how}))


def connect(site: Site, *, timeout_seconds: float = 30) -> socket.socket:
    """A connection to the receiver; the timeout is of each later call."""
    return socket.create_connection(("127.0.0.1", site.port), timeout_seconds)


def read_answer(connection: socket.socket) -> Told | None:
    """The answer to what was sent; None where the connection ended without one."""
    answer = HTTPResponse(connection)
    try:
        answer.begin()
        body = answer.read()
    except (HTTPException, ConnectionError):
        return None
    finally:
        answer.close()
    return Told(answer.status, json.loads(body) if body[:1] == b"{" else {})


def ask(site: Site, message: bytes, *, timeout_seconds: float = 30) -> Told | None:
    """Send the bytes of one request on a connection of its own, and read the answer."""
    with connect(site, timeout_seconds=timeout_seconds) as connection:
        connection.sendall(message)
        return read_answer(connection)


def register_many(site: Site, model: str, count: int, *, auc: float = 0.5) -> list[str]:
    """Register versions of one run, which costs MLflow a request each; returns their numbers."""
    from mlflow.exceptions import RestException

    client = client_of(site.mlflow.url)
    with suppress(RestException):  # it exists
        client.create_registered_model(model)
    run = client.create_run("0").info
    client.log_metric(run.run_id, "test_auc", auc)
    client.set_terminated(run.run_id)
    source = f"{run.artifact_uri}/model"
    made = [
        client.create_model_version(model, source, run.run_id, await_creation_for=0)
        for _ in range(count)
    ]
    return [str(version.version) for version in made]
