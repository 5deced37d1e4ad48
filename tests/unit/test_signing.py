"""Signatures: what was signed is accepted, and nothing else is."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from steward.errors import DeliveryRejected
from steward.signing import sign, verify_request
from tests.deliveries import SECRET, signed
from webhook_receiver.senders.mlflow import MlflowSender

BODY = b'{"entity":"model_version","action":"created","data":{}}'
SENDER = MlflowSender([b"an-older-secret", SECRET.encode()])


def raw(headers: dict[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): value.encode("latin-1") for name, value in headers.items()}


def is_refused(headers: dict[str, str], body: bytes) -> bool:
    with pytest.raises(DeliveryRejected) as refusal:
        SENDER.verify(raw(headers), body)
    return refusal.value.status == 401


def test_any_of_several_secrets_is_accepted():
    letter = SENDER.verify(raw(signed(BODY, delivery_id="d-1")), BODY)

    assert letter.delivery_id == "d-1"
    assert SENDER.verify(raw(signed(BODY, secret="an-older-secret")), BODY)


def test_without_a_secret_nothing_is_accepted():
    with pytest.raises(DeliveryRejected, match="no secret is configured"):
        MlflowSender([]).verify(raw(signed(BODY)), BODY)


@pytest.mark.parametrize("age_seconds", [301, 3600, -301])
def test_a_stale_or_future_signature_is_refused(age_seconds: int):
    then = int(datetime.now(UTC).timestamp()) - age_seconds

    assert is_refused(signed(BODY, timestamp=then), BODY)


@pytest.mark.parametrize(
    "header", ["x-mlflow-signature", "x-mlflow-timestamp", "x-mlflow-delivery-id"]
)
@given(value=st.none() | st.text(st.characters(max_codepoint=255), max_size=120))
def test_a_header_that_is_missing_or_arbitrary_is_refused(header: str, value: str | None):
    headers = signed(BODY, delivery_id="d-1")
    assume(value != headers[header])

    if value is None:
        del headers[header]
    else:
        headers[header] = value

    assert is_refused(headers, BODY)


@given(position=st.integers(0, len(BODY) - 1), flip=st.integers(1, 127))
def test_a_body_with_one_byte_changed_is_refused(position: int, flip: int):
    changed = bytearray(BODY)
    changed[position] ^= flip

    assert is_refused(signed(BODY), bytes(changed))


@given(position=st.integers(0, 31), flip=st.integers(1, 255))
def test_a_signature_with_one_byte_changed_is_refused(position: int, flip: int):
    headers = signed(BODY)
    digest = bytearray(base64.b64decode(headers["x-mlflow-signature"].removeprefix("v1,")))
    digest[position] ^= flip
    headers["x-mlflow-signature"] = f"v1,{base64.b64encode(digest).decode()}"

    assert is_refused(headers, BODY)


@given(body=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_and_break_nothing(body: bytes):
    assume(body != BODY)

    assert is_refused(signed(BODY), body)


def test_a_delivery_id_that_cannot_be_kept_is_refused():
    assert is_refused(signed(BODY, delivery_id="d" * 201), BODY)


def test_what_steward_signs_it_accepts_and_another_secret_it_does_not():
    headers = sign(b"one", method="POST", path="/reload", body=BODY)

    verify_request([b"two", b"one"], headers, BODY, method="POST", path="/reload")
    with pytest.raises(DeliveryRejected):
        verify_request([b"two"], headers, BODY, method="POST", path="/reload")


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/replicas/a"), ("POST", "/prepare"), ("POST", "/replicas"), ("POST", "/replicas/ab")],
)
def test_a_call_that_was_signed_for_another_address_is_refused(method: str, path: str):
    headers = sign(b"one", method="POST", path="/replicas/a", body=BODY)

    with pytest.raises(DeliveryRejected, match="webhook-id") as refusal:
        verify_request([b"one"], headers, BODY, method=method, path=path)

    assert refusal.value.status == 401


def test_an_address_cannot_be_put_before_a_signed_id():
    headers = sign(b"one", method="POST", path="/prepare", body=BODY)
    headers["webhook-id"] = f"POST /reload|{headers['webhook-id']}"

    with pytest.raises(DeliveryRejected):
        verify_request([b"one"], headers, BODY, method="POST", path="/reload")
