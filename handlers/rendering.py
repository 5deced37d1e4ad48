"""A message in the forms that channels need: plain text, HTML, Slack's blocks.

Called by ``handlers/notify.py`` and ``steward notify test``. The forms are Jinja templates in
``handlers/templates``; a file of the same name in the installation's own directory replaces one.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, select_autoescape

from handlers.telling import Message
from steward.errors import PermanentError
from steward.ports import Notification

TEXT, HTML, SLACK = "notification.txt.j2", "notification.html.j2", "notification.slack.json.j2"
OWN_TEMPLATES = Path(__file__).parent / "templates"
MOST_SLACK_BLOCKS = 50


def render(message: Message, *, key: str, templates_dir: Path | None = None) -> Notification:
    """Fill every template; PermanentError names the one that is wrong, and how."""
    environment = _environment(templates_dir)
    return Notification(
        key=key,
        title=message.title,
        text=_fill(environment, TEXT, message).strip() + "\n",
        html=_fill(environment, HTML, message),
        slack_blocks=_blocks(_fill(environment, SLACK, message)),
        severity=message.severity,
    )


@lru_cache(maxsize=8)
def _environment(templates_dir: Path | None) -> Environment:
    directories = [templates_dir, OWN_TEMPLATES] if templates_dir else [OWN_TEMPLATES]
    environment = Environment(
        loader=FileSystemLoader(directories),
        autoescape=select_autoescape(("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(mrkdwn=mrkdwn, limit=limit)
    return environment


def _fill(environment: Environment, name: str, message: Message) -> str:
    try:
        return environment.get_template(name).render(message=message)
    except TemplateError as error:
        raise PermanentError(f"The template {name} is wrong: {error}") from error


def _blocks(text: str) -> list[Mapping[str, Any]]:
    try:
        blocks = json.loads(text)
    except ValueError as error:
        raise PermanentError(f"The template {SLACK} does not give JSON: {error}") from error
    if not isinstance(blocks, list):
        raise PermanentError(f"The template {SLACK} does not give a list of blocks.")
    return blocks[:MOST_SLACK_BLOCKS]


def mrkdwn(text: str) -> str:
    """Text in which Slack finds no mention and no link: its three special characters escaped.

    https://docs.slack.dev/messaging/formatting-message-text/#escaping
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def limit(text: str, length: int) -> str:
    """At most ``length`` characters, never cut within an escaped character."""
    if len(text) <= length:
        return text
    return re.sub(r"&[a-z]*$", "", text[: length - 1]) + "…"
