"""Which receiver the operators' verbs speak to, with which token, and how they say no."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from steward.cli.api_client import find_target, path_of
from steward.settings import Settings
from tests.cli_support import Ran, run


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("STEWARD_URL", "STEWARD_TOKEN", "STEWARD_PUBLIC_URL", "STEWARD_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STEWARD_DATA_DIR", str(tmp_path))
    return tmp_path


def settings(data_dir: Path, **values: object) -> Settings:
    return Settings(_env_file=None, data_dir=data_dir, **values)


def running_here(data_dir: Path) -> None:
    (data_dir / "up.json").write_text('{"receiver": "http://127.0.0.1:8811"}')
    (data_dir / "token").write_text("stw_local\n")


def answering(answer: Callable[[httpx.Request], httpx.Response], *words: str) -> Ran:
    return run(*(words or ("models", "list")), transport=httpx.MockTransport(answer))


def refusing(status: int, detail: str) -> Ran:
    body = {"type": "about:blank", "title": "No", "status": status, "detail": detail}
    return answering(lambda _: httpx.Response(status, json=body))


def test_what_runs_in_the_data_directory_is_spoken_to_with_its_token(data_dir: Path):
    running_here(data_dir)

    target = find_target(settings(data_dir))

    assert (target.url, target.token) == ("http://127.0.0.1:8811", "stw_local")


def test_steward_url_and_token_go_before(data_dir: Path):
    running_here(data_dir)

    target = find_target(settings(data_dir, url="https://steward.example/", token="mine"))

    assert (target.url, target.token) == ("https://steward.example", "mine")
    assert (target.found_in, target.token_from) == ("STEWARD_URL", "STEWARD_TOKEN")


def test_a_token_out_of_a_file_is_told_as_such(data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    file = data_dir / "mounted"
    file.write_text("mine\n")
    monkeypatch.setenv("STEWARD_TOKEN_FILE", str(file))

    target = find_target(settings(data_dir, url="https://steward.example/"))

    assert (target.token, target.token_from) == ("mine", f"STEWARD_TOKEN_FILE ({file})")


def test_the_token_of_this_machine_is_never_sent_to_another(data_dir: Path):
    running_here(data_dir)

    assert find_target(settings(data_dir, url="https://steward.example")).token is None
    assert find_target(settings(data_dir, url="http://localhost:9000")).token == "stw_local"


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"receiver": null}'])
def test_an_up_json_that_cannot_be_read_leaves_the_default(data_dir: Path, text: str):
    (data_dir / "up.json").write_text(text)

    assert find_target(settings(data_dir)).url == "http://127.0.0.1:8800"


def test_the_token_is_sent_as_a_bearer(data_dir: Path):
    running_here(data_dir)
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append((str(request.url), request.headers["authorization"]))
        return httpx.Response(200, json={"items": [], "next_cursor": None})

    assert answering(answer).code == 0
    assert sent == [("http://127.0.0.1:8811/api/v1/models?limit=500", "Bearer stw_local")]


def test_names_are_encoded_with_their_slashes():
    assert path_of("models", "a/b c", "explain") == "/models/a%2Fb%20c/explain"


def test_a_receiver_that_is_away_is_named_with_how_to_start_it():
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    ran = answering(answer)

    assert ran.code == 4
    assert "http://127.0.0.1:8800" in ran.err
    assert "`steward up`" in ran.err


def test_another_program_on_the_port_is_not_taken_for_steward():
    ran = answering(lambda _: httpx.Response(200, text="<html>hello</html>"))

    assert ran.code == 4
    assert "Is another program listening there?" in ran.err


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_says_which_it_was_and_how_to_get_one(data_dir: Path, status: int):
    running_here(data_dir)

    ran = refusing(status, "The token is unknown or revoked.")

    assert ran.code == 2
    assert str(data_dir / "token") in ran.err
    assert "steward token create NAME --role operator" in ran.err


def test_a_role_that_is_missing_is_the_one_to_ask_for():
    body = {"status": 403, "detail": "This needs the role approver.", "role": "approver"}

    ran = answering(lambda _: httpx.Response(403, json=body))

    assert ran.code == 2
    assert "steward token create NAME --role approver" in ran.err


def test_without_a_token_it_says_that_none_was_sent():
    assert "No token was sent" in refusing(401, "Send a token.").err


@pytest.mark.parametrize(("status", "code"), [(503, 4), (502, 4), (422, 2), (409, 1), (500, 1)])
def test_the_receivers_sentence_is_told_with_a_fitting_exit_code(status: int, code: int):
    ran = refusing(status, "Because of this.")

    assert (ran.code, ran.err) == (code, "Because of this.\n")


def test_an_address_that_is_none_is_a_usage_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STEWARD_URL", "nonsense")

    ran = run("models", "list")

    assert ran.code == 2
    assert "nonsense (STEWARD_URL)" in ran.err


def test_escapes_in_names_do_not_reach_the_terminal():
    item = {
        "name": "evil\x1b[31m",
        "production": None,
        "versions": 1,
        "aliases": {},
        "paused": None,
    }
    page = {"items": [item], "next_cursor": None}

    plain = answering(lambda _: httpx.Response(200, json=page))
    as_json = answering(lambda _: httpx.Response(200, json=page), "models", "list", "--json")

    assert "\x1b" not in plain.out
    assert json.loads(as_json.out) == page
    assert "\x1b" not in as_json.out
