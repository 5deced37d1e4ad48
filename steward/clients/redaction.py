"""Keep secrets out of what channels report: called by every channel before it raises."""

import re
from collections.abc import Iterable
from urllib.parse import unquote

LONGEST_DETAIL = 300
SHORTEST_SECRET = 4


def without(secrets: Iterable[str], text: str) -> str:
    """One line of ``text`` in which each secret is ``***``."""
    known = {form for secret in secrets for form in (secret, unquote(secret))}
    for secret in sorted(known, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return " ".join(text.split())[:LONGEST_DETAIL]


def secrets_of(url: str) -> list[str]:
    """A URL and every part of it after the scheme: any of them may be a token."""
    _, _, rest = url.partition("://")
    return [url, *re.split(r"[/:@?&=#,;]+", rest)]
