"""How the operators' verbs speak to the receiver: its address, our token, errors as sentences.

Each command opens one with :func:`connect`. The object of typer's context, if there is one, is the
transport to use instead of the network.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from steward.errors import ConfigurationError, NotFoundError, StewardError, TransientError
from steward.keepalive import KEEPALIVE_SECONDS
from steward.settings import Settings, environment_with_dotenv, load_settings

TIMEOUT_SECONDS = 30.0
Document = dict[str, Any]


class RefusedError(StewardError):
    """The receiver understood, and says no: what is known already forbids it.

    ``code`` says why, for programs.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Target:
    """The receiver's address and our token, and where each was found."""

    url: str
    found_in: str
    token: str | None
    token_from: str


class Api:
    """The receiver's HTTP API. Each call returns the JSON it answered.

    Every call raises TransientError (away, or in no state to answer), NotFoundError (404),
    ConfigurationError (what we sent was wrong: the token, a filter) or RefusedError (409).
    """

    def __init__(self, target: Target, client: httpx.Client) -> None:
        self.target = target
        self._client = client

    def get(
        self, path: str, params: Mapping[str, Any] | None = None, *, wait_seconds: float = 0
    ) -> Document:
        """GET; parameters that are None are left out. ``wait_seconds``: of a long poll."""
        sent = {key: value for key, value in (params or {}).items() if value is not None}
        timeout = TIMEOUT_SECONDS + wait_seconds
        return self._call("GET", path, params=sent, timeout=timeout)

    def post(
        self, path: str, body: Mapping[str, Any], params: Mapping[str, Any] | None = None
    ) -> Document:
        """POST a JSON object."""
        sent = {key: value for key, value in (params or {}).items() if value is not None}
        return self._call("POST", path, params=sent, json=dict(body))

    def delete(self, path: str) -> Document:
        """DELETE, where it makes an end of something."""
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, **arguments: Any) -> Document:
        url = self.target.url
        try:
            response = self._client.request(method, f"/api/v1{path}", **arguments)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ConfigurationError(
                f"{url} ({self.target.found_in}) is no address of a receiver; expected "
                "http://HOST:PORT."
            ) from error
        except httpx.TimeoutException as error:
            raise TransientError(f"Steward's receiver at {url} did not answer in time.") from error
        except httpx.TransportError as error:
            raise TransientError(
                f"Steward's receiver cannot be reached at {url} ({self.target.found_in}): {error}. "
                "Start Steward on this machine with `steward up`, or set STEWARD_URL."
            ) from error
        return self._answer(response)

    def _answer(self, response: httpx.Response) -> Document:
        try:
            document = response.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            document = None
        if response.is_success and isinstance(document, dict):
            return document
        if not isinstance(document, dict) or not {"detail", "status"} & document.keys():
            raise TransientError(
                f"{self.target.url} ({self.target.found_in}) answered {response.status_code} to "
                f"{response.request.method} {response.request.url.path}, not as Steward's receiver "
                "does. Is another program listening there?"
            )
        raise self._refusal(response, document)

    def _refusal(self, response: httpx.Response, document: Document) -> StewardError:
        detail = str(document.get("detail") or document.get("title") or document)
        status = response.status_code
        if status in (401, 403):
            role = str(document.get("role") or "operator")
            return ConfigurationError(f"{detail} {_about_token(self.target, role)}")
        if status == httpx.codes.NOT_FOUND:
            return NotFoundError(detail)
        if status == httpx.codes.UNPROCESSABLE_ENTITY:
            return ConfigurationError(detail.removeprefix("query."))
        # Nothing heard it: the journal is away, or something between us and the receiver.
        if status in (429, 502, 503, 504):
            return TransientError(detail)
        return RefusedError(detail, str(document.get("code", "")))


@contextmanager
def connect(transport: httpx.BaseTransport | None) -> Iterator[Api]:
    """The receiver that the settings name. ``transport`` replaces the network."""
    target = find_target(load_settings())
    headers = {"accept": "application/json", "user-agent": "steward-cli"}
    if target.token:
        headers["authorization"] = f"Bearer {target.token}"
    try:
        client = httpx.Client(
            base_url=target.url,
            headers=headers,
            timeout=TIMEOUT_SECONDS,
            limits=httpx.Limits(keepalive_expiry=KEEPALIVE_SECONDS),
            transport=transport,
            trust_env=not is_loopback(target.url),  # no proxy stands before this machine
        )
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ConfigurationError(f"{target.url} ({target.found_in}): {error}.") from error
    with client:
        yield Api(target, client)


def find_target(settings: Settings) -> Target:
    """STEWARD_URL, else what runs in the data directory, else where this installation answers.

    The token of the data directory is an admin's here: it never goes to another machine that
    STEWARD_URL names.
    """
    running = str(read_up(settings).get("receiver") or "").rstrip("/")
    if settings.url:
        url, found_in = settings.url, "STEWARD_URL"
    elif running:
        url, found_in = running, f"{settings.data_dir / 'up.json'}"
    else:
        url, found_in = settings.receiver_url, "the default; nothing says otherwise"
    url = url.rstrip("/")
    token_file = settings.data_dir / "token"
    if settings.token:
        return Target(url, found_in, settings.token.get_secret_value(), _token_variable())
    if is_loopback(url) or url == running or not settings.url:
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            token = ""
        if token:
            return Target(url, found_in, token, str(token_file))
    return Target(url, found_in, None, "")


def _token_variable() -> str:
    """Which setting named the token: the variable itself goes before its file."""
    environment = environment_with_dotenv()
    if not environment.get("STEWARD_TOKEN") and (path := environment.get("STEWARD_TOKEN_FILE")):
        return f"STEWARD_TOKEN_FILE ({path})"
    return "STEWARD_TOKEN"


def path_of(*parts: str) -> str:
    """A path of the API; each part is encoded, also its slashes."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def is_loopback(url: str) -> bool:
    """Whether an address is this machine whatever DNS says."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def read_up(settings: Settings) -> Document:
    """What `steward up` wrote about the stack that runs in our data directory; else nothing."""
    try:
        document = json.loads((settings.data_dir / "up.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _about_token(target: Target, role: str) -> str:
    used = (
        f"The token of {target.token_from} was used."
        if target.token
        else "No token was sent: STEWARD_TOKEN is not set, and no token of this installation fits."
    )
    return (
        f"{used} An admin makes one where Steward runs: "
        f"steward token create NAME --role {role}; then set STEWARD_TOKEN to it."
    )
