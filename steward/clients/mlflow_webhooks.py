"""Steward's webhook at MLflow: created, repaired and tested. `steward connect` calls it.

MLflow does not keep webhooks' names unique, never returns a secret, and lets a webhook stand that
it can no longer sign; so each run looks at what is there and lets MLflow deliver a test.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Literal

from steward.clients.mlflow_errors import spoken
from steward.clients.mlflow_registry import rest_call
from steward.clients.mlflow_webhook_diagnosis import KEY, failed_test, local_problems, refusal
from steward.errors import StewardError, TransientError

EVENTS = (
    ("REGISTERED_MODEL", "CREATED"),
    ("MODEL_VERSION", "CREATED"),
    ("MODEL_VERSION_TAG", "SET"),
    ("MODEL_VERSION_TAG", "DELETED"),
    ("MODEL_VERSION_ALIAS", "CREATED"),
    ("MODEL_VERSION_ALIAS", "DELETED"),
)
"""Every event of models that MLflow sends; prompts and budgets are not ours."""

NAME_PREFIX = "steward-"
KEEP_THE_KEY = (
    "Keep MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY set at MLflow's server: without it the webhook "
    "breaks when MLflow restarts, and this cannot be seen from here."
)
CACHE = (
    "MLflow's workers notice within a minute (MLFLOW_WEBHOOK_CACHE_TTL); until then the poller "
    "finds what they do not send."
)
_PATH = "/api/2.0/mlflow/webhooks"
_PROBES = 12
"""With 4 workers, MLflow's default, a disagreement escapes one run in millions."""
_TEST_SECONDS = 150.0
"""MLflow tries a silent receiver four times, 30 s each."""


def webhook_name(installation_id: str) -> str:
    """The name of an installation's webhook; MLflow allows lower case, digits, dots, hyphens."""
    return f"{NAME_PREFIX}{installation_id}".lower()


@dataclass(frozen=True, slots=True)
class ConnectResult:
    """How the webhook stands. ``changes`` is what was done, or would be in a dry run."""

    ok: bool
    action: Literal["created", "repaired", "unchanged"]
    name: str
    url: str
    changes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line for a start-up page."""
        if self.ok:
            return f"{self.name} -> {self.url} ({self.action})"
        return f"does not work: {' '.join(self.problems)}"


class _RefusedError(StewardError):
    """MLflow did not do what was asked; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    url: str
    secret: str

    def body(self, *, with_secret: bool) -> dict[str, Any]:
        events = [{"entity": entity, "action": action} for entity, action in EVENTS]
        body = {"name": self.name, "url": self.url, "events": events, "status": "ACTIVE"}
        return {**body, "secret": self.secret} if with_secret else body


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done: the webhook that is ours (None: create it), those to delete, and why."""

    ours: Mapping[str, Any] | None
    surplus: tuple[Mapping[str, Any], ...]
    changes: tuple[str, ...]
    writes_secret: bool

    @property
    def action(self) -> Literal["created", "repaired", "unchanged"]:
        if self.ours is None:
            return "created"
        return "repaired" if self.changes else "unchanged"


class WebhookAdmin:
    """The webhooks of one MLflow server, with the user's own MLflow credentials."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri

    def connect(
        self,
        *,
        installation_id: str,
        url: str,
        secret: str | None,
        take_over: bool = False,
        rotate: bool = False,
        dry_run: bool = False,
    ) -> ConnectResult:
        """Make this installation's webhook right, and let MLflow deliver a test to it.

        What is right already stays; ``rotate`` writes the secret anew; ``take_over`` deletes other
        installations' webhooks. Raises TransientError when MLflow cannot be reached.
        """
        result = ConnectResult(False, "unchanged", webhook_name(installation_id), url)
        if problems := local_problems(self._uri, url, secret):
            return replace(result, problems=problems)
        wanted = _Wanted(result.name, url, secret or "")
        try:
            webhooks = list(self._webhooks())
            others = [hook for hook in webhooks if _is_another(hook, wanted.name)]
            if others and not take_over:
                return replace(result, problems=(_others_are_there(others),))
            plan = _plan(webhooks, others, wanted, rotate=rotate)
            result = replace(result, action=plan.action, changes=plan.changes)
            if dry_run:
                return replace(result, ok=True)
            return self._judged(self._carry_out(plan, wanted), plan, wanted, result)
        except _RefusedError as error:
            return replace(result, problems=(str(error),))

    def _carry_out(self, plan: _Plan, wanted: _Wanted) -> str:
        """Create or change ours, then delete the surplus; returns our webhook's id."""
        body = wanted.body(with_secret=plan.writes_secret)
        if plan.ours is None:
            webhook_id = self._ask("POST", _PATH, body)["webhook"]["webhook_id"]
        else:
            webhook_id = plan.ours["webhook_id"]
            if plan.changes:
                self._ask("PATCH", f"{_PATH}/{webhook_id}", body)
        for webhook in plan.surplus:
            self._ask("DELETE", f"{_PATH}/{webhook['webhook_id']}", {})
        return str(webhook_id)

    def _judged(
        self, webhook_id: str, plan: _Plan, wanted: _Wanted, result: ConnectResult
    ) -> ConnectResult:
        """Ask every worker, deliver a test, and write a secret anew that the receiver refused."""
        if not self._do_workers_agree():
            return replace(result, problems=(KEY,))
        test = self._test(webhook_id)
        if test.get("response_status") == HTTPStatus.UNAUTHORIZED and not plan.writes_secret:
            self._ask("PATCH", f"{_PATH}/{webhook_id}", wanted.body(with_secret=True))
            change = "its secret was not the receiver's and is written anew"
            result = replace(result, action="repaired", changes=(*result.changes, change))
            test = self._test(webhook_id)
        if test.get("response_status") != HTTPStatus.ACCEPTED:
            return replace(result, problems=(failed_test(test, wanted.url),))
        advice = {"created": (KEEP_THE_KEY, CACHE), "repaired": (CACHE,), "unchanged": ()}
        return replace(result, ok=True, advice=advice[result.action])

    def _do_workers_agree(self) -> bool:
        """Whether every worker can read the stored secrets: some cannot where each has a key."""
        answers = [rest_call(self._uri, "GET", _PATH, {"max_results": 1}) for _ in range(_PROBES)]
        return {status for status, _ in answers} == {HTTPStatus.OK}

    def _test(self, webhook_id: str) -> Mapping[str, Any]:
        try:
            answer = self._ask("POST", f"{_PATH}/{webhook_id}/test", {}, _TEST_SECONDS)
        except TransientError as error:
            return {"error_message": f"timed out: {error}"}
        result: Mapping[str, Any] = answer.get("result", {})
        return result

    def _webhooks(self) -> Iterator[Mapping[str, Any]]:
        token = ""
        while True:
            page = self._ask("GET", _PATH, {"max_results": 1000, "page_token": token})
            yield from page.get("webhooks", ())
            token = page.get("next_page_token", "")
            if not token:
                return

    def _ask(
        self, method: str, path: str, body: dict[str, Any], timeout_seconds: float = 10
    ) -> Mapping[str, Any]:
        status, text = rest_call(self._uri, method, path, body, timeout_seconds=timeout_seconds)
        if status != HTTPStatus.OK:
            raise _RefusedError(refusal(status, text, server=spoken(self._uri)))
        try:
            answer: Mapping[str, Any] = json.loads(text)
        except ValueError as error:
            raise _RefusedError(f"{spoken(self._uri)} does not answer as MLflow does.") from error
        return answer


def _plan(
    webhooks: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
    wanted: _Wanted,
    *,
    rotate: bool,
) -> _Plan:
    ours = [webhook for webhook in webhooks if webhook["name"] == wanted.name]
    changes = [f"{other['name']} ({other['url']}) is deleted" for other in others]
    changes += ["a second webhook of the same name is deleted"] * (len(ours) > 1)
    if not ours:
        return _Plan(None, tuple(others), tuple(changes), writes_secret=True)
    held = ours[0]
    if held["url"] != wanted.url:
        changes.append(f"its address was {held['url']}")
    if {(event["entity"], event["action"]) for event in held["events"]} != set(EVENTS):
        changes.append("its events were not those of models")
    if held["status"] != "ACTIVE":
        changes.append("it was disabled")
    if rotate:
        changes.append("its secret is written anew")
    return _Plan(held, (*others, *ours[1:]), tuple(changes), writes_secret=rotate)


def _is_another(webhook: Mapping[str, Any], name: str) -> bool:
    held: str = webhook["name"]
    return held.startswith(NAME_PREFIX) and held != name


def _others_are_there(others: Sequence[Mapping[str, Any]]) -> str:
    told = ", ".join(f"{other['name']} ({other['url']}, {other['status']})" for other in others)
    return (
        f"Another Steward is connected to this registry: {told}. Two would promote against each "
        "other. If that one is gone, or was this one with a lost data directory, "
        "steward connect --take-over deletes its webhook and puts ours in its place."
    )
