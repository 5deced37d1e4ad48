"""Reads STEWARD_BROKER_URL: which broker it names, and how the transport underneath spells that."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from steward.errors import ConfigurationError

EXPECTED = (
    "redis://HOST:PORT/DB, rediss:// (TLS), unix:///PATH, "
    "redis+sentinel://HOST:PORT,HOST:PORT/NAME (valkey instead of redis is the same), "
    "amqp://USER:PASSWORD@HOST:PORT/VHOST or amqps:// (TLS)"
)
_SCHEMES = {
    "redis": "tcp",
    "rediss": "tls",
    "unix": "socket",
    "redis+socket": "socket",
    "redis+unix": "socket",
    "redis+sentinel": "sentinel",
    "amqp": "amqp",
    "amqps": "amqps",
}
SENTINEL_SECONDS = 3
_TLS_FILES = {"ssl_ca_certs": "ca_certs", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """What Celery is told: ``url`` in the transport's spelling, TLS (False: none), more options."""

    kind: Literal["redis", "rabbitmq"]
    url: str = field(repr=False)  # it holds the password
    tls: Mapping[str, Any] | bool = False
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)


def read(url: str) -> BrokerAddress:
    """Understand a broker's URL.

    Raises:
        ConfigurationError: another scheme, or a part is missing; a password is never repeated.

    """
    given = url.partition("://")[0].lower() if "://" in url else ""
    form = _SCHEMES.get(given.replace("valkey", "redis"))
    if form is None:
        named = f"begins with {given}://" if given else "is no URL"
        raise ConfigurationError(f"STEWARD_BROKER_URL {named}; expected {EXPECTED}.")
    rest = url.partition("://")[2]
    if form == "socket":
        return _socket(rest)
    if form == "sentinel":
        return _sentinel(rest)
    kind: Literal["redis", "rabbitmq"] = "rabbitmq" if form.startswith("amqp") else "redis"
    bare = rest.partition("?")[0]
    if form in ("tcp", "amqp"):
        return BrokerAddress(kind, f"{'redis' if form == 'tcp' else 'amqp'}://{bare}")
    scheme, prefix = ("rediss", "ssl_") if form == "tls" else ("amqps", "")
    return BrokerAddress(kind, f"{scheme}://{bare}", _tls(_query(rest), prefix))


def _tls(query: Mapping[str, str], prefix: str) -> dict[str, Any]:
    """Certificates are checked, which the transports do not do unasked."""
    wrong = sorted(set(query) - set(_TLS_FILES))
    if wrong:
        raise ConfigurationError(
            f"STEWARD_BROKER_URL has the option {wrong[0]}; expected {', '.join(_TLS_FILES)}."
        )
    found: dict[str, Any] = {prefix + _TLS_FILES[name]: file for name, file in query.items()}
    found[f"{prefix}cert_reqs"] = ssl.CERT_REQUIRED
    # The name in the certificate is checked too; each library asks for that in its own way.
    return found | ({"ssl_check_hostname": True} if prefix else {"server_hostname": None})


def _socket(rest: str) -> BrokerAddress:
    parts = urlsplit(f"unix://{rest}")
    path = unquote(parts.path)
    if not path.strip("/") or parts.hostname:
        raise ConfigurationError(
            "STEWARD_BROKER_URL names no socket; expected an absolute path, such as "
            "unix:///run/valkey/valkey.sock?db=0."
        )
    query = _query(rest)
    database = query.get("db") or query.get("virtual_host") or "0"
    password = f":{quote(parts.password, safe='%')}@" if parts.password else ""
    return BrokerAddress("redis", f"redis+socket://{password}{path}?virtual_host={database}")


def _sentinel(rest: str) -> BrokerAddress:
    bare = rest.partition("?")[0]
    credentials, at, place = bare.rpartition("@")
    hosts, _, path = place.partition("/")
    name, _, database = path.partition("/")
    if not name or not hosts:
        raise ConfigurationError(
            "STEWARD_BROKER_URL names no group of the sentinels; expected "
            "redis+sentinel://[:PASSWORD@]HOST:26379,HOST:26379/NAME[/DB][?sentinel_password=...]."
        )
    each = [
        f"sentinel://{credentials}{at}{host}/{database or 0}" for host in hosts.split(",") if host
    ]
    options: dict[str, Any] = {"master_name": name}
    if password := _query(rest).get("sentinel_password"):
        # The sentinels' own password; the other is that of the servers which they watch.
        options["sentinel_kwargs"] = {
            "password": password,
            "socket_timeout": SENTINEL_SECONDS,
            "socket_connect_timeout": SENTINEL_SECONDS,
        }
    return BrokerAddress("redis", ";".join(each), options=options)


def _query(rest: str) -> dict[str, str]:
    return dict(parse_qsl(rest.partition("?")[2]))
