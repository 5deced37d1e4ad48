"""The users of the model in `steward demo`: they ask every replica without a pause, and count."""

import threading
from collections import Counter
from collections.abc import Sequence

import httpx

PAUSE_SECONDS = 0.08
SHOWN_FAILURES = 5


class Clients:
    """One thread a replica. A failure is any answer that is not a prediction, or an older version.

    The demo only moves forward, so a replica that answers with an older version than before is
    wrong.
    """

    def __init__(self, urls: Sequence[str], body: bytes, rows: int) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._rows = rows
        self._body = body
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._ask, args=(url,), daemon=True) for url in urls
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, after the requests that are under way."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(5)

    @property
    def requests(self) -> int:
        """How many were made."""
        return self.answers.total() + len(self.failures)

    def told(self) -> str:
        """How it went, in one line."""
        by_version = ", ".join(
            f"version {version}: {count}"
            for version, count in sorted(self.answers.items(), key=lambda item: int(item[0]))
        )
        return f"{self.requests} requests, {len(self.failures)} failed ({by_version})"

    def _ask(self, url: str) -> None:
        newest = 0
        with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
            while not self._stopping.wait(PAUSE_SECONDS):
                version, problem = self._one(client)
                if problem is None and int(version) < newest:
                    problem = f"version {version} answered after version {newest}"
                with self._lock:
                    if problem is None:
                        newest = int(version)
                        self.answers[version] += 1
                    else:
                        self.failures.append(f"{url}: {problem}")

    def _one(self, client: httpx.Client) -> tuple[str, str | None]:
        headers = {"content-type": "application/json"}
        try:
            answer = client.post("/invocations", content=self._body, headers=headers)
        except httpx.HTTPError as error:
            return "", f"{type(error).__name__}: {error}"
        version = answer.headers.get("x-model-version", "")
        if answer.status_code != httpx.codes.OK:
            return version, f"{answer.status_code} {answer.text[:200]}"
        if not version.isdigit():
            return version, f"X-Model-Version is {version!r}"
        if len(answer.json().get("predictions", ())) != self._rows:
            return version, f"not {self._rows} predictions: {answer.text[:200]}"
        return version, None
