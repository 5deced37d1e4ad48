"""Which broker a URL names: the schemes people write, and what is said of the others."""

import ssl

import pytest

from steward.broker import celery_app, is_rabbitmq, queue_on
from steward.broker_url import read
from steward.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given", "kind", "url"),
    [
        ("redis://:pw@host:6380/2", "redis", "redis://:pw@host:6380/2"),
        ("valkey://host/1", "redis", "redis://host/1"),
        ("rediss://host", "redis", "rediss://host"),
        ("valkeys://host", "redis", "rediss://host"),
        ("unix:///run/v.sock", "redis", "redis+socket:///run/v.sock?virtual_host=0"),
        (
            "unix://:p%40w@/run/v.sock?db=3",
            "redis",
            "redis+socket://:p%40w@/run/v.sock?virtual_host=3",
        ),
        ("valkey+socket:///run/v.sock", "redis", "redis+socket:///run/v.sock?virtual_host=0"),
        ("amqp://u:p@host:5673/steward", "rabbitmq", "amqp://u:p@host:5673/steward"),
        ("amqps://u:p@host//", "rabbitmq", "amqps://u:p@host//"),
    ],
)
def test_each_spelling_names_its_broker(given: str, kind: str, url: str) -> None:
    found = read(given)

    assert (found.kind, found.url) == (kind, url)


def test_sentinels_are_all_told_and_so_is_their_group() -> None:
    found = read("redis+sentinel://:pw@one:26379,two:26379/mymaster/4")

    assert found.url == "sentinel://:pw@one:26379/4;sentinel://:pw@two:26379/4"
    assert found.options == {"master_name": "mymaster"}


@pytest.mark.parametrize(
    ("given", "tls"),
    [
        (
            "rediss://host?ssl_ca_certs=/ca.pem",
            {
                "ssl_ca_certs": "/ca.pem",
                "ssl_cert_reqs": ssl.CERT_REQUIRED,
                "ssl_check_hostname": True,
            },
        ),
        (
            "amqps://host?ssl_ca_certs=/ca.pem",
            {"ca_certs": "/ca.pem", "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None},
        ),
    ],
)
def test_certificates_are_checked(given: str, tls: dict[str, object]) -> None:
    found = read(given)

    assert found.tls == tls
    assert "?" not in found.url


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("sqs://:secret@host", "begins with sqs://; expected redis://"),
        ("kafka://:secret@host", "begins with kafka://"),
        ("localhost:6379", "is no URL; expected redis://"),
        ("unix://secret", "names no socket"),
        ("redis+sentinel://:secret@one:26379", "names no group"),
        ("rediss://:secret@host?verify=no", "has the option verify; expected ssl_ca_certs"),
    ],
)
def test_anything_else_is_refused_with_what_is_expected_and_without_the_password(
    given: str, said: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        celery_app(given)

    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_on_rabbitmq_queues_are_quorum_queues_of_our_own_name() -> None:
    app = celery_app("amqp://u:p@host//")

    assert is_rabbitmq(app)
    assert queue_on(app, "validation") == "steward.validation"
    assert {queue.name for queue in app.conf.task_queues} == {
        "steward.default",
        "steward.validation",
    }
    assert all(queue.queue_arguments["x-queue-type"] == "quorum" for queue in app.conf.task_queues)


def test_what_a_broker_address_shows_of_itself_holds_no_password() -> None:
    assert "secret" not in repr(read("redis://:secret@host"))
