"""Fault 8: forged, expired, malformed and rotated signatures: whatever is wrong is answered 401 and
leaves no trace, and while a secret is rotated the old and the new one both count."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from steward.signing import TOLERANCE_SECONDS
from tests.acceptance.deliveries import created
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.senders import ask, deliveries_of, events_of, letter, request
from tests.acceptance.faults.site import SECRET, Site
from tests.deliveries import signed
from tests.models import client_of
from tests.servers import eventually

MODEL = "08-forged"
ID, WHEN, SIGNATURE = "x-mlflow-delivery-id", "x-mlflow-timestamp", "x-mlflow-signature"
NEW_SECRET = "the-next-secret-of-the-faults"


@dataclass(frozen=True, slots=True)
class Forgery:
    """A request that nobody who knows the secret made: what is sent, and as which headers."""

    body: bytes
    headers: Mapping[str, str | bytes]

    def with_header(self, name: str, value: str | bytes) -> "Forgery":
        return replace(self, headers={**self.headers, name: value})


def _authentic(**how: Any) -> Forgery:
    body = json.dumps(created(MODEL)).encode()
    return Forgery(body, dict(signed(body, **{"secret": SECRET, **how})))


# -- what can be wrong, alone or together --------------------------------------------------------

in_a_header = st.binary(max_size=60).map(
    lambda raw: bytes(byte for byte in raw if byte >= 0x20 and byte != 0x7F)
)
strange_times = st.sampled_from(
    ["nan", "NaN", "inf", "-inf", "1e9", "", "0", "-1", "9" * 400, "0x10", "1_700_000_000", "٣٣"]
)
strange_signatures = st.sampled_from(
    ["", "v1", "v1,", ",", "v1,====", "v1,a", "v1,%%%%", "v1,ÿ", "v1, ", "sha256=00", "v1;abcd"]
)


@st.composite
def expired(draw: st.DrawFn) -> Forgery:
    """Well signed, at a time that is not now."""
    far = st.integers(TOLERANCE_SECONDS + 30, 10**9)
    offset = draw(far) * draw(st.sampled_from([1, -1]))
    return _authentic(timestamp=max(int(time.time()) + offset, 0))


@st.composite
def of_another_secret(draw: st.DrawFn) -> Forgery:
    secret = draw(st.text(max_size=40))
    assume(secret != SECRET)
    return _authentic(secret=secret)


@st.composite
def changed_after_signing(draw: st.DrawFn) -> Forgery:
    """Another body, id or time than was signed."""
    honest = _authentic()
    what = draw(st.sampled_from(["flip", "append", "replace", "id", "time"]))
    if what == "id":
        return honest.with_header(ID, draw(st.text("abc-0123", max_size=300)))
    if what == "time":
        return honest.with_header(WHEN, str(int(time.time()) + draw(st.integers(1, 200))))
    body = bytearray(honest.body)
    if what == "flip":
        body[draw(st.integers(0, len(body) - 1))] ^= 1 << draw(st.integers(0, 7))
    elif what == "append":
        body += draw(st.binary(min_size=1, max_size=20))
    else:
        body = bytearray(draw(st.binary(max_size=200)))
    return replace(honest, body=bytes(body))


@st.composite
def wrong_headers(draw: st.DrawFn) -> Forgery:
    """One header that is missing, strange, or anything."""
    honest = _authentic()
    name = draw(st.sampled_from([ID, WHEN, SIGNATURE]))
    if draw(st.booleans()) and draw(st.booleans()):
        return replace(honest, headers={k: v for k, v in honest.headers.items() if k != name})
    known = {WHEN: strange_times, SIGNATURE: strange_signatures}.get(name, st.just("é" * 9))
    value = draw(known | in_a_header)
    raw = value.encode() if isinstance(value, str) else value
    was = honest.headers[name]
    assume(raw.strip() != (was.encode() if isinstance(was, str) else was))
    return honest.with_header(name, value)


@st.composite
def mangled_signature(draw: st.DrawFn) -> Forgery:
    """The right digest, told wrongly; or one of the right form that is another's."""
    honest = _authentic()
    good = str(honest.headers[SIGNATURE]).removeprefix("v1,")
    random = base64.b64encode(draw(st.binary(min_size=32, max_size=32))).decode()
    digests = [good, f" ,{good}", f"v2,{good}", f"v1a,{good}", f"v1 {good}"]
    digests += [f"v1,{good[4:]}", f"v1,{good[:-4]}", f"v1,{random}", f"v1,{random} v1,{random}"]
    told = draw(st.sampled_from(digests))
    return honest.with_header(SIGNATURE, told)


forgeries = st.one_of(
    expired(), of_another_secret(), changed_after_signing(), wrong_headers(), mangled_signature()
)


def test_08_forged_deliveries_are_refused_and_leave_no_trace(site: Site) -> None:
    site.stop("poller")  # which has nothing to tell of a model that does not exist
    refused = site.metric("receiver", "steward_deliveries_total", outcome="bad_signature")
    tried = 0

    @settings(
        max_examples=400,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(forgeries)
    def is_refused(forged: Forgery) -> None:
        nonlocal tried
        tried += 1
        answer = ask(site, request(forged.body, forged.headers))
        assert answer is not None
        assert (answer.status, answer.document.get("code")) == (401, "bad_signature")

    is_refused()

    assert tried >= 400
    counted = site.metric("receiver", "steward_deliveries_total", outcome="bad_signature")
    assert counted - refused == tried
    assert site.metric("receiver", "steward_deliveries_total", outcome="failed") == 0
    assert events_of(site, MODEL) == []
    honest = _authentic()
    answer = ask(site, request(honest.body, honest.headers))  # nothing but forgery was wrong
    assert answer is not None
    assert (answer.status, answer.document["duplicate"]) == (202, False)


@pytest.mark.parametrize("raw", [b"\0", b"\r", b"\x7f", b"a\x01b"])
def test_08_forged_deliveries_with_headers_that_http_forbids(site: Site, raw: bytes) -> None:
    forged = _authentic().with_header(SIGNATURE, raw)

    answer = ask(site, request(forged.body, forged.headers))

    assert answer is not None
    assert answer.status in (400, 401)


def test_08_rotated_secrets_both_count_in_the_overlap(site: Site, name: str) -> None:
    def deliver(secret: str, number: int) -> int:
        version = str(1000 + number)
        answer = ask(site, letter(created(f"{name}-by-hand", version), secret=secret))
        return answer.status if answer else 0

    with _restarted(site, f"{NEW_SECRET},{SECRET}"):
        assert (deliver(SECRET, 1), deliver(NEW_SECRET, 2)) == (202, 202)
        assert deliver("neither", 3) == 401
        by_old = site.register(name, auc=0.9)  # MLflow still signs with the old one
        _await_delivered(site, name, by_old)
        _let_mlflow_sign_with(site, NEW_SECRET)
        by_new = site.register(name, auc=0.95)
        _await_delivered(site, name, by_new)
        site.await_verdict(name, by_new, "promoted")
    with _restarted(site, NEW_SECRET):
        assert (deliver(SECRET, 4), deliver(NEW_SECRET, 5)) == (401, 202)
        last = site.register(name, auc=0.99)
        _await_delivered(site, name, last)
    _let_mlflow_sign_with(site, SECRET)
    assert_sound(site, name)
    assert [event.version for event in events_of(site, name)] == [by_old, by_new, last]


@contextmanager
def _restarted(site: Site, secrets: str) -> Iterator[None]:
    """The receiver with these secrets, in place of its own, and then with its own again."""
    site.stop("receiver")
    site.start("receiver", STEWARD_WEBHOOK_SECRETS=secrets)
    try:
        yield
    finally:
        site.stop("receiver")
        site.start("receiver")


def _let_mlflow_sign_with(site: Site, secret: str) -> None:
    client = client_of(site.mlflow.url)
    (hook,) = [each for each in client.list_webhooks() if each.url.startswith(site.url)]
    client.update_webhook(hook.webhook_id, secret=secret)


def _await_delivered(site: Site, model: str, version: str) -> None:
    def is_delivered() -> bool:
        return version in {each.version for each in deliveries_of(site, model)}

    eventually(is_delivered, 30, every_seconds=0.1)
