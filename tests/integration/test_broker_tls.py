"""TLS to either broker: the certificate is checked, and its name; hints go through."""

import ipaddress
import ssl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client import REGISTRY

from steward.broker import Hinter, celery_app
from steward.ports import Hint
from tests.chaos import ChaosProxy
from tests.integration.broker_support import Broker, broker, empty
from tests.rabbit import RabbitServer

__all__ = ["broker"]


@dataclass(frozen=True)
class Identity:
    """A certificate that vouches for itself, for one address."""

    certificate: Path
    key: Path


def identity(directory: Path, address: str) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a broker")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    found = Identity(directory / "broker.pem", directory / "broker.key")
    found.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    found.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return found


@contextmanager
def tls_before(port: int, who: Identity) -> Iterator[int]:
    """Ends TLS before a broker that speaks none itself; the port to connect to."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(who.certificate, who.key)
    with ChaosProxy(port, tls=context).running() as proxy:
        yield proxy.port


def send(broker: Broker, port: int, options: str) -> tuple[float, float]:
    """Send one hint; how many were sent and failed."""
    scheme = "amqps://guest:guest@" if isinstance(broker, RabbitServer) else "rediss://"
    path = "//" if isinstance(broker, RabbitServer) else "/0"
    before = counted()
    hinter = Hinter(celery_app(f"{scheme}127.0.0.1:{port}{path}{options}"))
    hinter.send([Hint(str(uuid.uuid4()), "notify", "default")])
    hinter.close(timeout_seconds=20)
    after = counted()
    return after[0] - before[0], after[1] - before[1]


def counted() -> tuple[float, float]:
    return tuple(  # type: ignore[return-value]
        REGISTRY.get_sample_value("steward_hints_total", {"result": result}) or 0.0
        for result in ("sent", "failed")
    )


def test_hints_go_through_where_the_certificate_is_trusted(broker: Broker, tmp_path: Path) -> None:
    who = identity(tmp_path, "127.0.0.1")

    with tls_before(broker.port, who) as port:
        assert send(broker, port, f"?ssl_ca_certs={who.certificate}") == (1, 0)

    if not isinstance(broker, RabbitServer):
        assert empty(broker) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(broker: Broker, tmp_path: Path) -> None:
    with tls_before(broker.port, identity(tmp_path, "127.0.0.1")) as port:
        assert send(broker, port, "") == (0, 1)


def test_a_certificate_for_another_address_is_refused(broker: Broker, tmp_path: Path) -> None:
    who = identity(tmp_path, "192.0.2.1")

    with tls_before(broker.port, who) as port:
        assert send(broker, port, f"?ssl_ca_certs={who.certificate}") == (0, 1)
