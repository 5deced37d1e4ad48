"""What is wrong when MLflow's webhooks do not work, in sentences that say what to do.

Pure: `WebhookAdmin` hands over what MLflow answered. The answers were measured on MLflow 3.17.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

KEY = (
    "MLflow's server cannot read the webhooks' secrets it stored: "
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY is not set there, or it changed. Without it each worker, "
    "and each restart, makes a key of its own, and MLflow then loses events of every webhook. Set "
    "it for all workers (a key: python -c 'from cryptography.fernet import Fernet; "
    "print(Fernet.generate_key().decode())'), restart MLflow, and if this message stays, delete "
    "the old rows of its table webhooks; then run steward connect again."
)
ADMIN = (
    "MLflow lets only an administrator see and create webhooks. Run steward connect with "
    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN) of one, "
    "once; or go on without a webhook: the poller finds every change, some seconds later."
)
# Both settings at once: MLflow names the second refusal only when the first is out of the way.
_CLOSED = (
    "MLflow's server sends webhooks to https:// and public addresses only. Start it with "
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https (for http://) and with "
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true (for loopback and private addresses), or give the "
    "receiver a public https:// address (STEWARD_WEBHOOK_URL)."
)
_BY_REFUSAL = {
    "invalid webhook url scheme": _CLOSED,
    "non-public ip address": _CLOSED,
    "not a public ip address": _CLOSED,
    "cannot resolve webhook url": (
        "MLflow's server cannot resolve the receiver's host name. Set STEWARD_WEBHOOK_URL to an "
        "address that works on MLflow's machine."
    ),
}
_BY_FAILURE = {
    **_BY_REFUSAL,
    "certificate": (
        "MLflow's server does not trust the receiver's TLS certificate; its webhooks ignore "
        "REQUESTS_CA_BUNDLE, so the certificate must be from an authority that its certifi knows."
    ),
    "name or service not known": _BY_REFUSAL["cannot resolve webhook url"],
    "connection refused": "Nothing listens there as MLflow's server sees it. {reach}",
    "timed out": "The receiver did not answer MLflow's server in time. {reach}",
}
_BY_ANSWER = {
    HTTPStatus.UNAUTHORIZED: (
        "The receiver refuses MLflow's signature, also with the secret that was just written. The "
        "receiver that runs there has other STEWARD_WEBHOOK_SECRETS than this command, or the "
        "clocks of the two machines differ by more than 5 minutes."
    ),
    HTTPStatus.NOT_FOUND: "That path is not the receiver's; it ends in /webhooks/mlflow.",
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "The receiver is there, but its journal takes no write now. Ask it why: steward doctor."
    ),
}


def local_problems(tracking_uri: str, url: str, secret: str | None) -> tuple[str, ...]:
    """What cannot work, known before MLflow is asked."""
    problems = []
    if urlsplit(tracking_uri).scheme not in ("http", "https"):
        problems.append(
            f"Only an MLflow server sends webhooks, and MLFLOW_TRACKING_URI is {tracking_uri!r}. "
            "Start `mlflow server` and set MLFLOW_TRACKING_URI to its http:// address."
        )
    if not secret:
        problems.append(
            "STEWARD_WEBHOOK_SECRETS is not set. Set it to a long random text (such as `openssl "
            "rand -hex 32` prints), the same for this command and for the receiver."
        )
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        problems.append(f"{url!r} is no address: set STEWARD_WEBHOOK_URL to http(s)://HOST/path.")
    elif urlsplit(url).hostname in ("0.0.0.0", "::"):  # noqa: S104  # compared, not bound
        problems.append(
            f"MLflow cannot reach {url}: set STEWARD_WEBHOOK_URL to the address that MLflow's "
            "machine has for the receiver."
        )
    return tuple(problems)


def refusal(status: int, text: str, *, server: str) -> str:
    """Why MLflow did not list, create or change a webhook."""
    message = _message(text)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return ADMIN
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        return f"{server} has no webhooks. They came with MLflow 3.3; is it older, or a proxy?"
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and message == "":
        return KEY  # the decryption error that MLflow passes on has no text
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and message is None:
        return (
            f"{server} failed, as MLflow does when its registry is a directory of files, which has "
            "no webhooks. Start it with a database (--backend-store-uri sqlite:///mlflow.db); "
            "its log says more."
        )
    said = message or text[:300]
    return _first(_BY_REFUSAL, said) or f"{server} refused the webhook ({status}): {said}"


def failed_test(result: Mapping[str, Any], url: str) -> str:
    """Why MLflow's test delivery did not arrive; ``result`` is MLflow's own account of it."""
    status = result.get("response_status")
    if status is None:
        said = str(result.get("error_message", "it gives no reason"))
        advice = _first(_BY_FAILURE, said) or "MLflow gives its own reason:"
    else:
        advice = _BY_ANSWER.get(
            status, f"Steward's receiver answers 202; what answers there is not it, or fails: {url}"
        )
        said = f"{status} {str(result.get('response_body', ''))[:200]}".strip()
    return f"MLflow's test delivery to {url} failed. {advice.format(reach=_reach(url))} [{said}]"


def _reach(url: str) -> str:
    host = urlsplit(url).hostname or ""
    where = f"{host} is MLflow's own machine there. " if host in ("127.0.0.1", "localhost") else ""
    return (
        f"Is the receiver running (steward receiver)? {where}STEWARD_WEBHOOK_URL must be the "
        "address under which MLflow's machine reaches it."
    )


def _first(sentences: Mapping[str, str], said: str) -> str | None:
    lowered = said.lower()
    return next((advice for sign, advice in sentences.items() if sign in lowered), None)


def _message(text: str) -> str | None:
    """MLflow's message, maybe empty; None where the answer is not MLflow's JSON."""
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    return answer.get("message") if isinstance(answer, dict) else None
