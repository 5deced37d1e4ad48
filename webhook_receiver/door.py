"""The door: one ASGI endpoint a sender, from raw body to an answer that means committed.

It stands beside FastAPI's routes, not inside them: at this rate injection and models would cost
more than the journal does.
"""

import asyncio
from collections.abc import Mapping

from prometheus_client import Counter
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from steward.errors import DeliveryRejected, JournalUnavailableError
from steward.journal.deliveries import Delivery, Receipt
from steward.logs import get_logger
from webhook_receiver.intake import Intake
from webhook_receiver.problems import problem
from webhook_receiver.senders.port import Letter, Sender

LARGEST_BODY = 256 * 1024
RETRY_AFTER_SECONDS = "2"  # MLflow sleeps it out in one of its ten delivery threads
DEFAULT_REGISTRY = "default"
_DEFAULT: Mapping[str, str] = {}
log = get_logger()
DELIVERIES = Counter("steward_deliveries_total", "Inbound deliveries", ["sender", "outcome"])


class HungUpError(DeliveryRejected):
    """The sender went away before it had sent its whole body; nobody hears the answer."""


class Door:
    """Takes one sender's deliveries."""

    def __init__(self, name: str, sender: Sender, intake: Intake) -> None:
        self._sender = sender
        self._intake = intake
        self._count = {
            outcome: DELIVERIES.labels(name, outcome)
            for outcome in (
                *("event", "duplicate", "test", "refused", "unavailable"),
                *("bad_signature", "too_large", "failed"),
            )
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        registry = scope.get("path_params", _DEFAULT).get("registry", DEFAULT_REGISTRY)
        try:
            body = await read_body(headers, receive)
            letter = self._sender.verify(headers, body)
            receipt = await self._take(letter, body, registry)
        except HungUpError:
            return
        except DeliveryRejected as error:
            outcome = {401: "bad_signature", 413: "too_large"}.get(error.status, "refused")
            self._count[outcome].inc()
            answer = problem(error.status, error.detail, code=error.reason)
            await answer(scope, receive, send)
        except JournalUnavailableError as error:
            await self._put_off(str(error), "journal_unavailable")(scope, receive, send)
        except asyncio.CancelledError:  # the server stops, and the journal was slower than that
            await self._put_off("The receiver is stopping.", "stopping")(scope, receive, send)
        except Exception:  # no middleware stands behind the door
            self._count["failed"].inc()
            log.exception("delivery_failed")
            answer = problem(500, "Steward failed to take the delivery; its log says why.")
            await answer(scope, receive, send)
        else:
            await _accept(send, receipt)

    def _put_off(self, detail: str, code: str) -> Response:
        self._count["unavailable"].inc()
        return problem(503, detail, code=code, headers={"retry-after": RETRY_AFTER_SECONDS})

    async def _take(self, letter: Letter, body: bytes, registry: str) -> Receipt:
        try:
            news, sent_at = self._sender.parse(letter, body, registry)
        except DeliveryRejected as error:
            refused = Delivery(letter.sender, letter.delivery_id, body, letter.sent_at, None)
            await self._intake.refuse(refused, f"{error.reason}: {error.detail}")
            raise
        receipt = await self._intake.record(
            Delivery(letter.sender, letter.delivery_id, body, sent_at, news)
        )
        known = "duplicate" if receipt.duplicate and news else "event" if news else "test"
        self._count[known].inc()
        return receipt


async def read_body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """The whole body, if it is at most 256 KiB.

    Raises:
        DeliveryRejected: 413 when it is larger.
        HungUpError: the other side went away, or was let go because it was slow (``patience``).

    """
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length[:12]) > LARGEST_BODY:
        raise _too_large()
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > LARGEST_BODY:
            raise _too_large()
        return body
    return await _read_rest(message, receive)


async def _read_rest(message: Mapping[str, object], receive: Receive) -> bytes:
    gathered = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise HungUpError(400, "hung_up", "The sender went away before its body had arrived.")
        gathered += message.get("body", b"")  # type: ignore[arg-type]  # ASGI says bytes
        if len(gathered) > LARGEST_BODY:
            raise _too_large()
        if not message.get("more_body"):
            return bytes(gathered)
        message = await receive()


def _too_large() -> DeliveryRejected:
    return DeliveryRejected(413, "too_large", f"A delivery is at most {LARGEST_BODY} bytes.")


async def _accept(send: Send, receipt: Receipt) -> None:
    event_id = f'"{receipt.event_id}"' if receipt.event_id else "null"
    is_duplicate = "true" if receipt.duplicate else "false"
    body = f'{{"event_id":{event_id},"duplicate":{is_duplicate}}}'.encode()
    await send(
        {
            "type": "http.response.start",
            "status": 202,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
