"""One table says how often and how late a failed dispatch is tried again."""

import pytest

from steward.errors import NotFoundError, PermanentError, TransientError
from workers import retries
from workers.retries import SCHEDULE_SECONDS


@pytest.mark.parametrize(("failures", "seconds"), list(enumerate(SCHEDULE_SECONDS, start=1)))
def test_what_is_away_is_asked_again_ever_later(failures: int, seconds: float) -> None:
    decision = retries.after(TransientError("away"), failures=failures, random=0.5)

    assert decision.retry_in_seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("error", "failures"),
    [
        (TransientError("away"), len(SCHEDULE_SECONDS) + 1),
        (PermanentError("refused"), 1),
        (NotFoundError("gone"), 1),
        (ZeroDivisionError(), retries.UNEXPECTED_ALLOWED),
    ],
)
def test_the_last_failure_allowed_is_the_end(error: Exception, failures: int) -> None:
    assert retries.after(error, failures=failures, random=0.5).retry_in_seconds is None


def test_a_bug_is_tried_again_before_its_last_failure() -> None:
    assert retries.after(ZeroDivisionError(), failures=1, random=0.5).retry_in_seconds == 1


@pytest.mark.parametrize(("random", "seconds"), [(0.0, 0.8), (1.0, 1.2)])
def test_a_wait_varies_by_a_fifth(random: float, seconds: float) -> None:
    decision = retries.after(TransientError("away"), failures=1, random=random)

    assert decision.retry_in_seconds == pytest.approx(seconds)


@pytest.mark.parametrize(("asked", "seconds"), [(30.0, 30.0), (0.1, 1.0), (1e9, 3600.0)])
def test_who_asks_for_a_longer_wait_gets_it_within_an_hour(asked: float, seconds: float) -> None:
    error = TransientError("busy", retry_after_seconds=asked)

    assert retries.after(error, failures=1, random=0.5).retry_in_seconds == pytest.approx(seconds)
