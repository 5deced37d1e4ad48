"""Messages between us and a model's process: a JSON header and raw bytes, never a pickle.

Both sides use it; what comes from the model's side is limited in size, and believed in nothing.
"""

import io
import json
import math
import socket
import struct
import time
from typing import Any

import numpy as np

HEADER_BYTES = 4 << 20
_LENGTHS = struct.Struct("!IQ")


class WireError(Exception):
    """The other side sent what is not a message of ours."""


def send(channel: socket.socket, header: dict[str, Any], body: bytes = b"") -> None:
    """Send one message. OSError: the other side ended, or did not read in time."""
    head = json.dumps(header).encode()
    channel.sendall(_LENGTHS.pack(len(head), len(body)) + head)
    channel.sendall(body)


def receive(
    channel: socket.socket, *, body_bytes: int, deadline: float | None = None
) -> tuple[dict[str, Any], bytes]:
    """One message, of at most ``body_bytes``.

    Raises:
        EOFError: the other side ended. TimeoutError: the deadline (monotonic) came.
        WireError: it is no message of ours, or too large.

    """
    head_size, body_size = _LENGTHS.unpack(_exactly(channel, _LENGTHS.size, deadline))
    if head_size > HEADER_BYTES or body_size > body_bytes:
        raise WireError(f"it sent {head_size + body_size} bytes, more than it may")
    try:
        header = json.loads(_exactly(channel, head_size, deadline))
    except (ValueError, RecursionError) as error:
        raise WireError("it sent something that is no answer") from error
    if not isinstance(header, dict):
        raise WireError("it sent something that is no answer")
    return header, _exactly(channel, body_size, deadline)


def _exactly(channel: socket.socket, size: int, deadline: float | None) -> bytes:
    read = bytearray()
    while len(read) < size:
        if deadline is not None:
            channel.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            part = channel.recv(min(size - len(read), 1 << 20))
        except ConnectionError as error:
            raise EOFError from error
        if not part:
            raise EOFError
        read += part
    return bytes(read)


def pack_array(array: "np.ndarray") -> bytes:
    """An array of float64 as the bytes of an ``.npy`` file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


def unpack_array(data: bytes) -> "np.ndarray":
    """Read it back: float64 of one or two dimensions, of exactly the size it says.

    The shape is compared with the bytes that are there before any memory is taken for it.

    Raises:
        WireError: it is anything else.

    """
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # numpy lets its parsers' errors through: TokenError, SyntaxError
        raise WireError("its answer is not an array") from error
    rest = data[file.tell() :]
    if version != (1, 0) or dtype != np.dtype("<f8") or is_fortran or len(shape) not in (1, 2):
        raise WireError(f"its answer is an array of {dtype} with {len(shape)} dimensions")
    if min(shape) < 0 or math.prod(shape) * 8 != len(rest):
        raise WireError("its answer has another size than it says")
    return np.frombuffer(rest, dtype=np.float64).reshape(shape).copy()
