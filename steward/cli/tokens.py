"""``steward token create | list | revoke``: who may use the operators' API; on the journal."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from steward.cli.stack import write_private
from steward.errors import ConfigurationError
from steward.journal import audit
from steward.journal.opening import open_journal
from steward.journal.routing import Routing
from steward.journal.store import Journal
from steward.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Tokens of operators and programs.")


@app.command()
def create(
    owner: Annotated[str, typer.Argument(help="Whose token: the actor in the audit.")],
    role: Annotated[str, typer.Option(help="viewer, operator, approver or admin.")] = "viewer",
    models: Annotated[
        list[str] | None, typer.Option("--model", help="Limit it to models (glob); repeat.")
    ] = None,
    *,
    init: Annotated[
        bool, typer.Option("--init", help="Make the journal if there is none.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="Write it there (mode 0600), unless a valid token is there already."),
    ] = None,
) -> None:
    """Make a token. It is printed once (or written to a file) and kept only as a digest."""
    for known in audit.ROLES:
        if role == known:
            with _journal(may_make=init) as journal:
                if output and (kept := _valid_token_in(output, journal)):
                    typer.echo(f"{output} holds token {kept.id} of {kept.owner} already.", err=True)
                    return
                secret, token = audit.create_token(journal, owner=owner, role=known, models=models)
            if output:
                write_private(output, f"{secret}\n")
            else:
                typer.echo(secret)
            shown = f"It is in {output}." if output else "It is not shown again."
            typer.echo(f"Token {token.id} of {owner}, role {role}. {shown}", err=True)
            return
    raise typer.BadParameter(f"{role} is no role; expected one of {', '.join(audit.ROLES)}.")


def _valid_token_in(file: Path, journal: Journal) -> audit.Token | None:
    """The token that a file holds, if the journal knows it: it may be of an older journal."""
    if not file.exists():
        return None
    return audit.find_token(journal, file.read_text(encoding="utf-8").strip())


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List tokens, revoked ones too."""
    with _journal() as journal:
        tokens = audit.list_tokens(journal)
    if as_json:
        typer.echo(json.dumps([_document(token) for token in tokens], indent=2))
        return
    if not tokens:
        typer.echo("There is no token. Make one with: steward token create NAME --role operator")
    for token in tokens:
        ended = f"  revoked {token.revoked_at:%Y-%m-%d %H:%M}" if token.revoked_at else ""
        limits = f"  only {', '.join(token.models)}" if token.models else ""
        typer.echo(f"{token.id}  {token.role:<9} {token.owner}{limits}{ended}")


@app.command()
def revoke(token_id: Annotated[str, typer.Argument(help="See `steward token list`.")]) -> None:
    """End a token at once."""
    with _journal() as journal:
        audit.revoke_token(journal, token_id)
    typer.echo(f"Revoked {token_id}.")


@contextmanager
def _journal(*, may_make: bool = False) -> Iterator[Journal]:
    settings = load_settings()
    place = settings.data_dir.absolute()
    if not may_make and not settings.database_url and not (place / "steward.db").exists():
        # Made silently in a wrong folder, its tokens would open nothing, and nobody would know why.
        raise ConfigurationError(
            f"There is no journal in {place}. Set STEWARD_DATA_DIR to the one of your installation "
            "(`steward up` prints it), or start `steward receiver` there first; `steward token "
            "create --init` makes the journal for a receiver that others reach."
        )
    journal = open_journal(settings, Routing({}))
    try:
        yield journal
    finally:
        journal.close()


def _document(token: audit.Token) -> dict[str, object]:
    return {
        "id": token.id,
        "owner": token.owner,
        "role": token.role,
        "models": token.models,
        "created_at": token.created_at.isoformat(),
        "revoked_at": token.revoked_at.isoformat() if token.revoked_at else None,
    }
