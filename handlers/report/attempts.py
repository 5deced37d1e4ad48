"""Makes a part of the report, or leaves it out: a report delays and changes no verdict."""

from collections.abc import Callable
from typing import TypeVar

from steward.errors import LeaseLostError
from steward.logs import get_logger

Part = TypeVar("Part")
_LONGEST = 300


def attempted(part: str, make: Callable[[], Part], otherwise: Part) -> Part:
    """What ``make`` gives; where it raises, ``otherwise`` and a warning in the log.

    Raises LeaseLostError alone: who lost the dispatch does nothing more for it.
    """
    try:
        return make()
    except LeaseLostError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever breaks, the verdict stands without it
        told = f"{type(error).__name__}: {error}"[:_LONGEST]
        get_logger().warning("report_part_failed", part=part, error=told)
        return otherwise
