"""Finds whom a bearer token belongs to; remembered for a few seconds, so that reads stay cheap."""

import hashlib
import threading
import time

from steward.journal import audit
from steward.journal.audit import Token
from steward.journal.store import Journal

REMEMBERED_SECONDS = 5.0
REMEMBERED = 1024


class TokenCache:
    """A revoked token is refused, and a new one known, after five seconds at the latest."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._found: dict[bytes, tuple[float, Token]] = {}
        self._lock = threading.Lock()

    def find(self, secret: str) -> Token | None:
        """The living token of a secret, or None."""
        key, now = hashlib.sha256(secret.encode()).digest(), time.monotonic()
        with self._lock:
            remembered = self._found.get(key)
        if remembered and remembered[0] > now:
            return remembered[1]
        token = audit.find_token(self._journal, secret)
        with self._lock:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            self._found.pop(key, None)
            if token:
                self._found[key] = (now + REMEMBERED_SECONDS, token)
        return token
