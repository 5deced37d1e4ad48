"""Who calls, and what they may do: bearer tokens with roles, or this machine, which may only read.

A page in a browser on this machine could be made to call us under another name (DNS rebinding), so
without a token the Host and Origin headers must name loopback, and no proxy may have been passed.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from steward.journal.audit import Role, Token
from webhook_receiver.problems import ProblemError
from webhook_receiver.room import ThisRoom

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_CHALLENGE = {"www-authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class Caller:
    """One authenticated caller. Without a token: this machine, reading."""

    token: Token | None

    @property
    def name(self) -> str:
        """The actor that is written down."""
        return self.token.owner if self.token else "loopback"

    def may_read(self, model: str | None) -> bool:
        """Whether what concerns this model (None: no model) may be shown."""
        if self.token is None or self.token.models is None:
            return True
        return model is not None and self.token.may("viewer", model)

    def need_read(self, model: str) -> None:
        """ProblemError (403) where the token does not cover the model."""
        if not self.may_read(model):
            raise self._forbidden("viewer", model)

    def need(self, role: Role, model: str | None) -> None:
        """ProblemError: 401 without a token, 403 with one that may not (None: every model)."""
        if self.token is None:
            raise ProblemError(
                401,
                "token_needed",
                "Without a token this machine may only read; send Authorization: Bearer TOKEN "
                "(`steward token create`).",
                headers=_CHALLENGE,
                role=role,
            )
        if not self.token.may(role, model):
            raise self._forbidden(role, model)

    def _forbidden(self, role: Role, model: str | None) -> ProblemError:
        token = self.token
        covered = ", ".join(token.models) if token and token.models else "every model"
        return ProblemError(
            403,
            "forbidden",
            f"This needs the role {role} on {model or 'every model'}; the token of {self.name} has "
            f"the role {token.role if token else 'viewer'} on {covered}.",
            role=role,
        )


def find_caller(request: Request, room: ThisRoom) -> Caller:
    """The caller of any operators' call. ProblemError (401) for anybody unknown."""
    authorization = request.headers.get("authorization")
    if authorization is None:
        if is_this_machine(request):
            return Caller(None)
        raise ProblemError(
            401,
            "token_needed",
            "Send Authorization: Bearer TOKEN; `steward token create` makes one. Only loopback "
            "(by address, Host and Origin) may read without.",
            headers=_CHALLENGE,
        )
    scheme, _, secret = authorization.partition(" ")
    token = room.tokens.find(secret.strip()) if scheme.lower() == "bearer" else None
    if token is None:
        raise ProblemError(
            401, "unknown_token", "The token is unknown or revoked.", headers=_CHALLENGE
        )
    return Caller(token)


ThisCaller = Annotated[Caller, Depends(find_caller)]
"""Every operators' route takes one: reading needs no more than this."""


def is_this_machine(request: HTTPConnection) -> bool:
    """Whether a request comes from this machine and means this machine."""
    client, headers = request.client, request.headers
    if (
        client is None
        or not is_loopback(client.host)
        or any(name in headers for name in _FORWARDED)
    ):
        return False
    origin = headers.get("origin")
    names = [f"//{headers.get('host', '')}", *([] if origin is None else [origin])]
    try:
        return all(is_loopback(urlsplit(name).hostname or "") for name in names)
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether a host, as an address or a name, is this machine whatever DNS says."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
