"""Errors by consequence: what a caller does next, not where they came from."""


class StewardError(Exception):
    """Something Steward cannot go on with; the message says what was wrong and what to do."""


class TransientError(StewardError):
    """Trying again later may work: a registry, broker, replica or channel is away or slow.

    ``retry_after_seconds`` is what the other side asked for, if it did; ``is_certain`` says that
    it certainly did nothing (it refused, or was never reached), not merely gave no good answer.
    """

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, is_certain: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.is_certain = is_certain


class PermanentError(StewardError):
    """Trying again changes nothing: stop and tell people."""


class ModelUnfitError(PermanentError):
    """A model cannot be examined, and it is the model's fault: refused content, a hang, a crash.

    ``reason`` is a short machine-readable word: ``content``, ``load``, ``predict``, ``output``,
    ``crash``, ``cpu``, ``memory``, ``wall``, ``processes``.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotFoundError(PermanentError):
    """The registry (or the journal) answered that the thing does not exist."""


class ConfigurationError(StewardError):
    """A setting or a policy file is wrong; the message names it and says what is expected."""


class DeliveryRejected(StewardError):  # noqa: N818  # the word of the house for a 4xx answer
    """A delivery is refused with a 4xx: ``status`` and a short machine-readable ``reason``."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail


class JournalUnavailableError(TransientError):
    """The journal cannot take a write now: locked, full or away."""


class UnstorableError(PermanentError):
    """The journal's database cannot hold a value: NUL in a text, a number out of range."""


class LeaseLostError(StewardError):
    """Somebody else owns this dispatch now: stop, and record nothing."""
