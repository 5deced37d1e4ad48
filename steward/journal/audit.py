"""Who did what: operators' commands and tokens."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

from sqlalchemy import insert, select, update

from steward.errors import NotFoundError
from steward.events import uuid7
from steward.journal.schema import audit, tokens
from steward.journal.store import Journal, Transaction

Role = Literal["viewer", "operator", "approver", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "approver", "admin")


@dataclass(frozen=True, slots=True)
class Token:
    """Who a bearer token belongs to and what it may do; ``models`` None is every model."""

    id: str
    owner: str
    role: str
    models: tuple[str, ...] | None
    created_at: datetime
    revoked_at: datetime | None = None

    def may(self, role: Role, model: str | None = None) -> bool:
        """Whether it may act in a role. Approver and operator each include viewer; admin all."""
        has_role = self.role in ("admin", role) or role == "viewer"
        is_covered = self.models is None or (
            model is not None and any(fnmatchcase(model, glob) for glob in self.models)
        )
        return has_role and (is_covered or (model is None and role == "viewer"))


def write_audit(
    transaction: Transaction, *, actor: str, verb: str, target: str, detail: Mapping[str, Any]
) -> None:
    """Note an operator's command, inside its own transaction."""
    transaction.connection.execute(
        insert(audit).values(
            at=transaction.now, actor=actor, verb=verb, target=target, detail=dict(detail)
        )
    )


def create_token(
    journal: Journal, *, owner: str, role: Role, models: Sequence[str] | None = None
) -> tuple[str, Token]:
    """Make a token; its secret is returned once and kept only as a digest."""
    secret = f"stw_{secrets.token_urlsafe(32)}"
    with journal.write() as transaction:
        token = Token(uuid7(), owner, role, tuple(models) if models else None, transaction.now)
        transaction.connection.execute(
            insert(tokens).values(
                id=token.id,
                owner=owner,
                role=role,
                models=list(token.models) if token.models else None,
                digest=_digest(secret),
                created_at=transaction.now,
            )
        )
        write_audit(
            transaction, actor="cli", verb="token.create", target=owner, detail={"role": role}
        )
    return secret, token


def find_token(journal: Journal, secret: str) -> Token | None:
    """The living token of a secret, or None."""
    query = select(tokens).where(tokens.c.digest == _digest(secret), tokens.c.revoked_at.is_(None))
    with journal.read() as connection:
        row = connection.execute(query).first()
    return _token(row) if row else None


def list_tokens(journal: Journal) -> list[Token]:
    """Every token, oldest first, revoked ones too."""
    with journal.read() as connection:
        rows = connection.execute(select(tokens).order_by(tokens.c.created_at)).all()
    return [_token(row) for row in rows]


def has_token(journal: Journal) -> bool:
    """Whether any living token exists: beyond loopback nothing may be bound before."""
    return any(token.revoked_at is None for token in list_tokens(journal))


def revoke_token(journal: Journal, token_id: str) -> None:
    """End a token. NotFoundError when there is no living token of that id."""
    with journal.write() as transaction:
        changed = transaction.connection.execute(
            update(tokens)
            .where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
            .values(revoked_at=transaction.now)
        )
        write_audit(transaction, actor="cli", verb="token.revoke", target=token_id, detail={})
        if changed.rowcount == 0:
            raise NotFoundError(f"There is no living token {token_id}; see `steward token list`.")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: Any) -> Token:
    return Token(
        id=row.id,
        owner=row.owner,
        role=row.role,
        models=tuple(row.models) if row.models else None,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
