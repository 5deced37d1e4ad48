"""``steward policy``: start a policy file, check one, ask which policy governs a model."""

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from steward.cli.policy_rows import unopened
from steward.cli.policy_warnings import Opens, warnings
from steward.errors import ConfigurationError, JournalUnavailableError
from steward.events import ModelRef
from steward.policy import Mode, PolicySet
from steward.policy.checks import NO_POLICY
from steward.policy.installed import policies_in_force
from steward.policy.schema import policy_schema
from steward.policy.summary import describe
from steward.settings import Settings, load_settings

app = typer.Typer(help="The rules: what is validated, promoted and told.", no_args_is_help=True)

INVALID, USAGE, UNREACHABLE = 1, 2, 4


@app.command()
def init(
    output: Annotated[Path | None, typer.Option(help="Write here instead of printing.")] = None,
    mode: Annotated[
        Mode, typer.Option(help="How far it goes: observe, recommend or act.")
    ] = Mode.ACT,
    force: Annotated[bool, typer.Option(help="Replace a file that exists.")] = False,
) -> None:
    """Print the built-in policy, with comments, as the start of your own."""
    text = PolicySet.built_in().text.replace("mode: act ", f"mode: {mode} ", 1)
    if output is None:
        typer.echo(text, nl=False)
        return
    if output.exists() and not force:
        _fail(f"{output} exists; --force replaces it.", USAGE)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        _fail(f"{output} cannot be written: {error.strerror}.", USAGE)
    typer.echo(f"Wrote {output}. Check it with: steward policy check {output}")


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="Default: STEWARD_POLICY_FILE, else steward.yaml.")
    ] = None,
    *,
    opened: Annotated[
        bool | None,
        typer.Option(
            "--open/--no-open",
            help="Look into the tables of checks.holdout also where they are in S3 or MLflow, or "
            "into none; unless said, into those that are files on this machine.",
        ),
    ] = None,
) -> None:
    """Say what a policy file governs, or every error in it with its line.

    Warns of what is valid and will hardly do what it says, as of a holdout without its label.
    """
    settings = _settings()
    path = file or settings.policy_file or Path("steward.yaml")
    if not path.is_file():
        _fail(f"{path} is no file. Start one with: steward policy init --output {path}", USAGE)
    policies = _load(path)
    typer.echo(f"{path} is valid. Its hash is {policies.hash[:12]}.")
    for policy in policies.policies:
        typer.echo(f"\n{policy.name}")
        for label, text in describe(policy, Mode.lowest(policy.mode, settings.mode)):
            typer.echo(f"  {label:<10}  {text}")
    typer.echo("\nA model that no policy governs is observed.")
    if opened is None:
        for line in unopened(policies.policies):
            typer.echo(line)
    opens: Opens = "files" if opened is None else "everything" if opened else "nothing"
    for warning in warnings(policies, settings, opens=opens):
        typer.echo(f"Warning: {warning}", err=True)


@app.command()
def schema(
    output: Annotated[Path | None, typer.Option(help="Write here instead of printing.")] = None,
) -> None:
    """Print the JSON Schema of a policy file, with which editors complete and check one."""
    text = json.dumps(policy_schema(), indent=2) + "\n"
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        _fail(f"{output} cannot be written: {error.strerror}.", USAGE)
    typer.echo(f"Wrote {output}. Name it in the first line of a policy file:")
    typer.echo(f"# yaml-language-server: $schema={output}")


@app.command()
def which(
    model: Annotated[str, typer.Argument(help="Name of a registered model.")],
    *,
    file: Annotated[
        Path | None, typer.Option(help="A policy file other than the one in force.")
    ] = None,
    registry: Annotated[str, typer.Option("--registry", "-r")] = "default",
    workspace: Annotated[str, typer.Option("--workspace", "-w")] = "",
    tag: Annotated[
        list[str] | None, typer.Option(help="A tag of the model, KEY=VALUE; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which policy governs a model, why, and in which mode."""
    settings = _settings()
    reference = ModelRef(model, registry, workspace)
    policies, tags = (_load(file), {}) if file else _in_force(settings, reference)
    tags |= _tags(tag or [])
    policy = policies.governing(reference, tags)
    is_governed = policy.name != NO_POLICY
    pattern = policy.match.pattern_for(reference, tags) if is_governed else None
    mode = Mode.lowest(policy.mode, settings.mode)
    answer = {
        "model": model,
        "registry": registry,
        "workspace": workspace,
        "policy": policy.name,
        "ref": policy.ref,
        "file": policies.file,
        "pattern": pattern,
        "mode": mode,
        "policy_mode": policy.mode,
        "ceiling": settings.mode,
        "reason": _reason(policies, pattern, tags),
    }
    typer.echo(json.dumps(answer, indent=2) if as_json else _which_text(answer))


def _which_text(answer: dict[str, Any]) -> str:
    ceiling = ""
    if answer["mode"] != answer["policy_mode"]:
        ceiling = f" (the policy says {answer['policy_mode']}; STEWARD_MODE is the ceiling)"
    governed = f"{answer['model']} is governed by {answer['ref']} of {answer['file']}."
    if answer["pattern"] is None:
        governed = f"No policy governs {answer['model']}."
    return f"{governed}\nWhy:   {answer['reason']}.\nMode:  {answer['mode']}{ceiling}."


def _reason(policies: PolicySet, pattern: str | None, tags: dict[str, str]) -> str:
    if pattern is not None:
        return f"its models has '{pattern}', and no policy before it matches"
    if not policies.policies:
        return "there is no policy file (STEWARD_POLICY_FILE), so every model is observed"
    asking = [other.name for other in policies.policies if other.match.tags]
    hint = f"; {', '.join(asking)} also asks for tags: give them with --tag" if asking else ""
    return f"no policy matches, so it is observed{'' if tags else hint}"


def _tags(pairs: list[str]) -> dict[str, str]:
    tags = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            _fail(f"--tag {pair}: write it as KEY=VALUE.", USAGE)
        tags[key] = value
    return tags


def _settings() -> Settings:
    try:
        return load_settings()
    except ConfigurationError as error:
        _fail(str(error), USAGE)


def _in_force(settings: Settings, model: ModelRef) -> tuple[PolicySet, dict[str, str]]:
    """The policies that this installation acts by, and the model's tags as it last saw them."""
    from steward.journal.policies import active, model_tags
    from steward.journal.routing import Routing
    from steward.journal.store import Journal, open_engine

    try:
        if settings.database_url is None and not (settings.data_dir / "steward.db").exists():
            return policies_in_force(settings), {}  # nothing ran here yet
        journal = Journal(open_engine(settings.journal_url), Routing({}))
        with closing(journal), journal.read() as connection:
            return active(connection), model_tags(connection, model)
    except JournalUnavailableError as error:
        _fail(str(error), UNREACHABLE)
    except ConfigurationError as error:
        _fail(str(error), INVALID)


def _load(path: Path) -> PolicySet:
    if not path.is_file():
        _fail(f"{path} is no file.", USAGE)
    try:
        return PolicySet.load(path)
    except ConfigurationError as error:
        _fail(str(error), INVALID)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
