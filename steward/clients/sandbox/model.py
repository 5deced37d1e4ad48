"""One model that runs in a child: asks it, and tells why it did not answer. Made by the client."""

import io
import json
import socket
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from steward.clients.sandbox import wire
from steward.errors import ModelUnfitError, PermanentError, TransientError
from steward.ports import ModelFacts, SandboxLimits

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_MOST_CLASSES = 10_000
_CLASS_CHARACTERS = 500
_ARRAY_HEADER_BYTES = 4096
_KEEPER_SECONDS = 30.0
_SHOWN_CHARACTERS = 300
_LINE_BYTES = 1 << 20
_TOLD_CHARACTERS = 2_000


class RunningModel:
    """The port SandboxedModel over two sockets: to the child, and to its keeper."""

    def __init__(
        self,
        channel: socket.socket,
        lifeline: socket.socket,
        facts: ModelFacts,
        limits: SandboxLimits,
    ) -> None:
        self._channel = channel
        self._lifeline = lifeline
        self._limits = limits
        self._broken: PermanentError | TransientError | None = None
        self.info = facts

    def load(self) -> None:
        """Wait until it is loaded. ModelUnfitError: it does not load."""
        deadline = time.monotonic() + self._limits.wall_seconds
        header, _ = self._answer(deadline, 0, "loading")
        classes = header.get("classes")
        if classes is None:
            return
        is_list = isinstance(classes, list) and 0 < len(classes) <= _MOST_CLASSES
        if not is_list or not all(isinstance(one, str) for one in classes):
            raise self._fail("output", "it tells classes that are none")
        self.info = replace(self.info, classes=tuple(one[:_CLASS_CHARACTERS] for one in classes))

    def predict(self, features: "pd.DataFrame") -> "np.ndarray":
        """See the port."""
        width = max(len(self.info.classes or ()), 1)
        scores = self._ask(features, len(features) * width, {"ask": "predict"})
        expected = (len(features), width) if width > 2 else (len(features),)  # noqa: PLR2004
        if scores.shape != expected:
            raise self._fail("output", f"it answered {scores.shape}, not {expected}, numbers")
        return scores

    def time(self, features: "pd.DataFrame", *, rounds: int) -> list[float]:
        """See the port."""
        times = self._ask(features, rounds, {"ask": "time", "rounds": rounds})
        if times.shape != (rounds,) or not (times >= 0).all():
            raise self._fail("output", "it answered times that are none")
        return [float(one) for one in times]

    def close(self) -> None:
        """End the child and what it started; returns when the keeper says that nothing is left."""
        self._channel.close()
        with suppress(OSError, EOFError, ValueError):
            self._lifeline.sendall(b"!")
            self._read_ending()
        self._lifeline.close()

    def _ask(self, features: "pd.DataFrame", numbers: int, order: dict[str, Any]) -> "np.ndarray":
        if self._broken is not None:
            raise self._broken
        deadline = time.monotonic() + self._limits.wall_seconds
        body, names = _packed(features)
        self._channel.settimeout(self._limits.wall_seconds)
        # The child that ended or never reads is found out about while waiting for its answer.
        with suppress(OSError):
            wire.send(self._channel, {**order, "columns": names}, body)
        _, answer = self._answer(deadline, numbers * 8 + _ARRAY_HEADER_BYTES, "scoring")
        try:
            return wire.unpack_array(answer)
        except wire.WireError as error:
            raise self._fail("output", str(error)) from error

    def _answer(self, deadline: float, body_bytes: int, doing: str) -> tuple[dict[str, Any], bytes]:
        try:
            header, body = wire.receive(self._channel, body_bytes=body_bytes, deadline=deadline)
        except TimeoutError:
            told = f"{doing} took more than {self._limits.wall_seconds:g} s"
            raise self._fail("wall", told) from None
        except EOFError:
            raise self._ended() from None
        except wire.WireError as error:
            raise self._fail("output", str(error)) from error
        if "error" in header:
            reason = "memory" if header.get("reason") == "memory" else doing
            known = {"memory": "memory", "loading": "load", "scoring": "predict"}[reason]
            told = str(header["error"])[:_TOLD_CHARACTERS]
            if known == "memory":
                told = f"{doing} took more than {self._limits.memory_mib} MiB of memory ({told})"
            raise self._fail(known, told)
        self._confirm()
        return header, body

    def _confirm(self) -> None:
        """Ask the keeper whether it kept to everything so far: processes show only there."""
        try:
            self._lifeline.sendall(b"?")
            ending = self._read_ending()
        except (OSError, EOFError, ValueError):
            ending = _LOST
        if ending["reason"] is not None:
            raise self._fail_as(ending)

    def _ended(self) -> PermanentError | TransientError:
        try:
            ending = self._read_ending()
        except (OSError, EOFError, ValueError):
            ending = _LOST
        return self._fail_as(ending)

    def _fail_as(self, ending: dict[str, Any]) -> PermanentError | TransientError:
        told = str(ending["told"])
        if ending is _LOST:
            self._broken = TransientError(told)
            return self._broken
        if printed := str(ending.get("output", "")).strip()[-_SHOWN_CHARACTERS:]:
            told = f"{told}; it printed last: {printed}"
        return self._fail(str(ending["reason"]), told)

    def _fail(self, reason: str, told: str) -> ModelUnfitError:
        self._broken = ModelUnfitError(f"The model cannot be examined: {told}.", reason=reason)
        return self._broken

    def _read_ending(self) -> dict[str, Any]:
        deadline = time.monotonic() + _KEEPER_SECONDS
        line = b""
        while not line.endswith(b"\n"):
            self._lifeline.settimeout(max(0.001, deadline - time.monotonic()))
            part = self._lifeline.recv(1 << 16)
            if not part or len(line) > _LINE_BYTES:
                raise EOFError
            line += part
        ending: dict[str, Any] = json.loads(line)
        return ending


_LOST: dict[str, Any] = {
    "reason": "lost",
    "told": "The process that watches a model in the sandbox ended.",
}


def _packed(features: "pd.DataFrame") -> tuple[bytes, list[Any] | None]:
    """Rows as Arrow's file format, and column names where they are not text (Feather's rule).

    Raises:
        PermanentError: Arrow cannot hold them: a column of mixed types, two of one name.

    """
    names = list(features.columns)
    plain = features.reset_index(drop=True)
    is_text = all(isinstance(name, str) for name in names)
    if not is_text:
        plain.columns = [str(index) for index in range(len(names))]
    file = io.BytesIO()
    try:
        plain.to_feather(file, compression="uncompressed")
    except (ValueError, TypeError) as error:  # Arrow's errors are children of these
        raise PermanentError(f"These rows cannot be sent to a model: {error}") from error
    return file.getvalue(), None if is_text else [
        getattr(n, "item", lambda n=n: n)() for n in names
    ]
