"""What ended a check, in a sentence: the suite and own checks tell it so."""

from handlers.checks.context import MissingEvidenceError
from steward.errors import ModelUnfitError, StewardError

_LONGEST = 300


def in_words(error: BaseException) -> tuple[str, str]:
    """Detail and brief of a result: all of it, and without words of code that is not ours.

    The brief is empty where the words are ours alone.
    """
    text = str(error)[:_LONGEST]
    if isinstance(error, MissingEvidenceError):
        return text, ""
    if isinstance(error, ModelUnfitError):
        return text, f"the model could not be asked ({error.reason})"
    if isinstance(error, StewardError):
        return text, "the model could not be asked"
    kind = type(error).__name__
    return f"the check broke off: {text} ({kind})", f"the check broke off ({kind})"
