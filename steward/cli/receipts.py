"""``steward receipts``: list, show and export the receipts of decisions; verify them offline."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from steward.cli import options, tables
from steward.cli.api_client import Api, Document, connect, path_of
from steward.cli.lookup import PAGE, get_model
from steward.errors import ConfigurationError
from steward.receipts import Checked, check, line_of

SHOWN_DIGITS = 16
app = typer.Typer(help="Receipts of decisions, chained by hash.", no_args_is_help=True)


@app.command("list")
def list_(
    ctx: typer.Context,
    model: options.Model,
    version: Annotated[str | None, typer.Argument(metavar="VERSION")] = None,
    *,
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """List the receipts of a model's decisions, oldest first."""
    params = {"registry": registry, "workspace": workspace, "version": version}
    with connect(ctx.obj) as api:
        pages = list(_pages(api, model, params))
        items = [item for page in pages for item in page["items"]]
        if version and not items:  # none yet, or no such version
            place = {"registry": registry, "workspace": workspace}
            get_model(api, model, "versions", version, params=place, version=version)
    if as_json:
        tables.as_json({"items": items, "head": pages[-1]["head"], "next_cursor": None})
        return
    if not items:
        typer.echo("No decision has a receipt yet.")
        return
    tables.table(
        ("number", "time", "version", "decision", "code", "receipt"),
        [_row(item["hash"], item["receipt"]) for item in items],
    )


@app.command()
def show(
    ctx: typer.Context,
    digest: Annotated[
        str, typer.Argument(metavar="HASH", help="The hash, or its first digits (8 or more).")
    ],
    *,
    as_json: options.Json = False,
) -> None:
    """Show one receipt: what was decided, on what, by which policy."""
    if not re.fullmatch("[0-9a-f]{8,64}", digest.lower()):
        raise typer.BadParameter(
            "it is the beginning of a sha256: 8 to 64 digits and letters a to f.",
            param_hint="HASH",
        )
    with connect(ctx.obj) as api:
        found = api.get(path_of("receipts", digest.lower()))
    if as_json:
        tables.as_json(found)
        return
    receipt = found["receipt"]
    event, policy, cause = receipt["event"], receipt["policy"], receipt["cause"]
    typer.secho(f"Receipt {found['hash']}", bold=True)
    tables.facts(
        [
            ("model", f"{receipt['model']} version {receipt['version']}"),
            ("decided", f"{event['type']}, {tables.when(receipt['time'])}"),
            *[("because", reason) for reason in receipt["decision"].get("reasons") or ()],
            ("event", event["id"]),
            ("came from", f"{cause['type']} {cause['id']}" if cause and "type" in cause else None),
            ("policy", f"{policy['ref']}, sha256 {policy['hash']}" if policy["ref"] else None),
            ("number", receipt["sequence"]),
            ("previous", receipt["previous"] or "none: it is the first"),
            ("software", f"{receipt['software']['name']} {receipt['software']['version']}"),
            ("installation", receipt["installation"]),
        ]
    )
    typer.echo("\nAll of it, with the policy's text: --json")


@app.command()
def export(
    ctx: typer.Context,
    model: options.Model,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Write a model's whole chain into a file that `steward receipts verify` reads."""
    params = {"registry": registry, "workspace": workspace, "texts": "true"}
    count, head = 0, None
    with connect(ctx.obj) as api:
        pages = list(_pages(api, model, params))
    with _opened(output) as file:
        for page in pages:
            for item in page["items"]:
                policy = item["receipt"]["policy"]["hash"]
                text = page["policies"].get(policy)
                file.write(line_of(item["hash"], item["receipt"], text))
                count, head = count + 1, item["hash"]
    if as_json:
        tables.as_json({"file": str(output), "receipts": count, "head": head})
        return
    typer.echo(f"Wrote {_receipts(count)} of {tables.clean(model)} to {output}.")
    if head:
        typer.echo(f"Check it anywhere: steward receipts verify {output} --head {head}")


@app.command()
def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True)
    ],
    *,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="HASH", help="A receipt that must be in it: the version's tag steward.receipt."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Check an exported chain without asking anybody: exit code 0 sound, 1 broken."""
    if head is not None and (len(head) != 64 or set(head.lower()) - set("0123456789abcdef")):  # noqa: PLR2004  # hex digits of a sha256
        raise typer.BadParameter(
            "it is a sha256: 64 digits and letters a to f.", param_hint="--head"
        )
    checked = check(file.read_bytes(), head=head.lower() if head else None)
    if as_json:
        tables.as_json(_as_document(file, checked))
    else:
        _tell(file, checked, is_head_known=head is not None)
    sys.exit(0 if checked.is_sound else 1)


@contextmanager
def _opened(output: Path) -> Iterator[BinaryIO]:
    try:
        with output.open("wb") as file:
            yield file
    except OSError as error:
        raise ConfigurationError(f"{output} cannot be written: {error.strerror}.") from error


def _pages(api: Api, model: str, params: dict[str, Any]) -> Iterator[Document]:
    """Every page of a model's receipts; at least one."""
    cursor: int | None = 0
    while cursor is not None:
        page = get_model(api, model, "receipts", params={**params, "cursor": cursor, "limit": PAGE})
        yield page
        cursor = page["next_cursor"]


def _row(digest: str, receipt: Document) -> tuple[Any, ...]:
    decision = receipt["decision"]
    shown = digest[:SHOWN_DIGITS] if tables.is_terminal() else digest
    told = decision.get("verdict") or receipt["event"]["type"]
    time, version = tables.when(receipt["time"]), receipt["version"]
    return receipt["sequence"], time, version, told, decision.get("code") or "", shown


def _tell(file: Path, checked: Checked, *, is_head_known: bool) -> None:
    if checked.is_sound:
        typer.echo(f"{file} is sound: {_receipts(checked.receipts)}, head {checked.head}.")
        if not is_head_known:
            typer.echo(
                "Whether later receipts were cut off is not known: compare with --head and the tag "
                "steward.receipt of the newest decided version.",
                err=True,
            )
        return
    typer.echo(f"{file} is broken.")
    for fault in checked.faults:
        typer.echo(f"line {fault.line}: {fault.kind}: {tables.clean(fault.detail)}")


def _as_document(file: Path, checked: Checked) -> Document:
    return {
        "file": str(file),
        "sound": checked.is_sound,
        "receipts": checked.receipts,
        "head": checked.head,
        "faults": [
            {"line": each.line, "kind": each.kind, "detail": each.detail} for each in checked.faults
        ],
    }


def _receipts(count: int) -> str:
    return "1 receipt" if count == 1 else f"{count} receipts"
