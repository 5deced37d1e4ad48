"""What a model's process sends is believed in nothing but the numbers that are there."""

import io
import pickle
import socket
import struct
import time

import numpy as np
import pytest

from steward.clients.sandbox import wire


@pytest.mark.parametrize("shape", [(0,), (3,), (2, 3)])
def test_numbers_come_through_as_they_are(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    array.ravel()[1:2] = np.nan

    np.testing.assert_array_equal(wire.unpack_array(wire.pack_array(array)), array)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an array",
        pickle.dumps(np.zeros(3)),
        npy(np.array([{"a": "pickle"}], dtype=object)),
        npy(np.zeros(3, dtype=np.float32)),
        npy(np.zeros((2, 2, 2))),
        npy(np.float64(3.0)),  # type: ignore[arg-type]  # no dimensions
        npy(np.zeros(3))[:-1],
        npy(np.zeros(3)) + b"more",
        npy(np.zeros(3)).replace(b"(3,)", b"(9,)"),
        npy(np.zeros((2, 2))).replace(b"(2, 2)", b"(-2,-2)"[:6]),
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 0xFFFF,
    ],
)
def test_anything_else_is_no_answer(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.unpack_array(data)


def test_an_answer_that_claims_a_terabyte_takes_no_memory() -> None:
    data = npy(np.zeros(3)).replace(b"(3,), }       ", b"(99999999999,),}")

    with pytest.raises(wire.WireError):
        wire.unpack_array(data)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_message_comes_through(pair) -> None:
    ours, theirs = pair

    wire.send(theirs, {"a": 1}, b"body")

    assert wire.receive(ours, body_bytes=4) == ({"a": 1}, b"body")


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack("!IQ", 2, 101) + b"{}",
        struct.pack("!IQ", 1 << 31, 0),
        struct.pack("!IQ", 4, 0) + b"nope",
        struct.pack("!IQ", 2, 0) + b"[]",
    ],
)
def test_a_message_that_is_too_large_or_none_is_refused_before_it_is_read(pair, sent) -> None:
    ours, theirs = pair
    theirs.sendall(sent)

    with pytest.raises(wire.WireError):
        wire.receive(ours, body_bytes=100)


def test_half_a_message_is_waited_for_until_the_deadline(pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"\x00\x00")

    with pytest.raises(TimeoutError):
        wire.receive(ours, body_bytes=0, deadline=time.monotonic() + 0.05)


def test_a_side_that_ended_is_told_apart(pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"\x00\x00")
    theirs.close()

    with pytest.raises(EOFError):
        wire.receive(ours, body_bytes=0)
