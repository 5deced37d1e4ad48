"""Registration, heartbeat, and following what the receiver's answer says should be served.

A push (``/reload``) is only the fast road: whatever push was lost, the next heartbeat's answer
carries the desired state, so a replica is at most a few seconds behind.
"""

import asyncio
import json
import logging
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from serving.reload import Order, Reloader, StaleOrderError
from steward.errors import StewardError, TransientError
from steward.events import ModelRef
from steward.keepalive import KEEPALIVE_SECONDS
from steward.logs import get_logger
from steward.signing import sign

_BEAT_SECONDS = 5.0
_FIRST_RETRY_SECONDS = 0.5
_LAST_RETRY_SECONDS = 60.0
_ANSWER_TIMEOUT = httpx.Timeout(3.0, connect=1.0)
_GOODBYE_SECONDS = 1.0
log = get_logger()


@dataclass(frozen=True, slots=True)
class Identity:
    """Which replica this is; ``boot_id`` is new with each start."""

    id: str
    model: ModelRef
    url: str
    boot_id: str
    started_at: datetime


class _Desired(BaseModel):
    model: str
    version: str | None
    generation: int


class _BeatAnswer(BaseModel):
    desired: _Desired | None


class Heartbeat:
    """Beats every five seconds and at once on a change; never raises, never stops serving."""

    def __init__(
        self,
        identity: Identity,
        reloader: Reloader,
        *,
        receiver_url: str,
        secret: bytes | None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._identity = identity
        self._reloader = reloader
        self._path = f"/api/v1/replicas/{quote(identity.id, safe='')}"
        self._url = receiver_url + self._path
        self._secret = secret
        # A transport of our own: calls inside the installation go through no proxy. Connections
        # are dropped before the receiver (uvicorn: 5 s) would, so that no beat meets a closed one.
        limits = httpx.Limits(keepalive_expiry=KEEPALIVE_SECONDS)
        self._client = httpx.AsyncClient(
            transport=transport or httpx.AsyncHTTPTransport(limits=limits), timeout=_ANSWER_TIMEOUT
        )
        self._is_leaving = False
        self._has_started = False  # the start's choice was made by the receiver or the registry
        self._refused: Order | None = None
        self._order_retry, self._start_retry = _Retry(), _Retry()
        self._following: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Beat until cancelled; each answer is followed beside the beats, however long it takes."""
        misses = 0
        while not self._is_leaving:
            self._reloader.changed.clear()
            try:
                desired = await self._beat(self._reloader.state)
                misses = 0
            except TransientError as error:
                level = logging.DEBUG if misses else logging.WARNING  # said once
                log.log(level, "receiver_not_reached", error=str(error))
                desired = None
                misses += 1
            if self._following is None or self._following.done():
                self._following = asyncio.create_task(self._follow(desired))
            with suppress(TimeoutError):
                async with asyncio.timeout(_pause(misses)):
                    await self._reloader.changed.wait()

    async def leave(self) -> None:
        """Say goodbye, so that no rollout waits for this replica. Safe to call twice."""
        if self._is_leaving:
            return
        self._is_leaving = True
        with suppress(TransientError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._beat("stopping")

    async def close(self) -> None:
        """Stop following, and close the connection."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
        await self._client.aclose()

    async def _beat(self, state: str) -> _Desired | None:
        body = json.dumps(self._report(state)).encode()
        headers = {"content-type": "application/json"}
        if self._secret is not None:
            headers |= sign(self._secret, method="PUT", path=self._path, body=body)
        try:
            response = await self._client.put(self._url, content=body, headers=headers)
            response.raise_for_status()
            desired = _BeatAnswer.model_validate_json(response.content).desired
        except (httpx.HTTPError, httpx.InvalidURL, ValidationError) as error:
            reason = f"{type(error).__name__}: {error}"[:300]
            raise TransientError(f"No answer to a heartbeat: {reason}") from error
        return desired if desired and desired.model == self._identity.model.name else None

    def _report(self, state: str) -> dict[str, object]:
        model, table = self._identity.model, self._reloader.table
        return {
            "model": model.name,
            "registry": model.registry,
            "workspace": model.workspace,
            "url": self._identity.url,
            "version": table.champion.version if table.champion else None,
            "generation": table.generation,
            "state": state,
            "boot_id": self._identity.boot_id,
            "started_at": self._identity.started_at.astimezone(UTC).isoformat(),
            "last_error": self._reloader.last_error,
        }

    async def _follow(self, desired: _Desired | None) -> None:
        """Serve what is desired; at the start, and only then, fall back on what else is known."""
        if desired is not None and desired.version is not None:
            await self._serve(Order(desired.version, desired.generation))
        await self._start()

    async def _serve(self, order: Order) -> None:
        if order != self._refused:
            self._refused, self._order_retry = None, _Retry()
        if order.generation <= self._reloader.table.generation or not self._order_retry.is_due():
            return
        try:
            await self._reloader.reload(order)
        except StaleOrderError:
            return  # a newer one came by push
        except StewardError:  # the reloader logged why, and the next heartbeat reports it
            self._refused = order
            self._order_retry.put_off()
            return
        self._has_started = True

    async def _start(self) -> None:
        if self._reloader.table.generation > 0:  # a push was faster
            self._has_started = True
        if self._has_started or not self._start_retry.is_due():
            return
        try:
            self._has_started = await self._reloader.start_with_champion()
        except StewardError as error:
            self._start_retry.put_off()
            if self._reloader.table.champion is None:
                log.warning("registry_champion_not_served", error=str(error))
                await self._start_from_cache()

    async def _start_from_cache(self) -> None:
        try:
            if await self._reloader.start_with_last_known_good():
                log.warning("serving_last_known_good")
        except StewardError as error:
            log.warning("last_known_good_not_served", error=str(error))


@dataclass(slots=True)
class _Retry:
    """What failed is tried again ever more rarely: its files may only be late."""

    delay_seconds: float = 0.0
    due_at: float = 0.0

    def is_due(self) -> bool:
        return time.monotonic() >= self.due_at

    def put_off(self) -> None:
        self.delay_seconds = min(self.delay_seconds * 2 or _BEAT_SECONDS, _LAST_RETRY_SECONDS)
        self.due_at = time.monotonic() + self.delay_seconds


def _pause(misses: int) -> float:
    """Seconds until the next beat: short at first when the receiver is away, spread by a tenth."""
    seconds = min(_FIRST_RETRY_SECONDS * 2 ** (misses - 1), _BEAT_SECONDS) if misses else None
    return (seconds or _BEAT_SECONDS) * random.uniform(0.9, 1.0)  # noqa: S311  # no secret
