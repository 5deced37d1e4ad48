"""The operators' verbs, which speak to the receiver over HTTP; ``app.py`` mounts them."""

import typer

from steward.cli import approvals, events, models, receipts
from steward.cli.explain import explain
from steward.cli.health import health
from steward.cli.lineage import compare, lineage
from steward.cli.pauses import pause, resume
from steward.cli.replicas import replicas
from steward.cli.rollback import rollback
from steward.cli.waiting import wait


def register(app: typer.Typer) -> None:
    """Add them to the command."""
    app.add_typer(events.app, name="events")
    app.add_typer(models.app, name="models")
    app.add_typer(receipts.app, name="receipts")
    app.add_typer(approvals.app, name="approvals")
    app.command("request-approval")(approvals.request_approval)
    app.command()(approvals.approve)
    app.command()(approvals.reject)
    app.command()(approvals.promote)
    for verb in (explain, lineage, compare, wait, rollback, pause, resume, replicas, health):
        app.command()(verb)
