"""Which functions and classes a pickle names, read from its opcodes: nothing is loaded.

The contents check calls this. What cannot be told without running the pickle is refused, so that
a name that is not told here cannot be used when it is loaded.
"""

import pickletools
from typing import Any

_STRINGS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_REFUSED = {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER"}


class UnreadablePickleError(ValueError):
    """What a pickle would load cannot be told without loading it."""


def globals_of(data: bytes) -> frozenset[str]:
    """Every ``module.name`` that loading these bytes looks up.

    Raises:
        UnreadablePickleError: it is no pickle, or names something in a way that only shows when
            it runs.

    """
    reading = _Reading()
    end: int | None = None
    try:
        for opcode, argument, position in pickletools.genops(data):
            reading.take(opcode.name, argument)
            end = position
    except UnreadablePickleError:
        raise
    except Exception as error:
        raise UnreadablePickleError(f"it is not a pickle: {error}") from error
    if end != len(data) - 1:  # STOP is one byte
        raise UnreadablePickleError("more follows after its end")
    return frozenset(reading.found)


class _Reading:
    """The little of the unpickler's state that tells names: its memo, and the two last pushes.

    STACK_GLOBAL takes a module and a name from the stack. They are known exactly when the two
    opcodes before it (apart from those that only remember) each pushed a string: these are then
    the two on top. Anything else is refused, so no other effect on the stack need be followed.
    """

    def __init__(self) -> None:
        self.found: set[str] = set()
        self._memo: dict[int, str | None] = {}
        self._memoizes: set[str] = set()
        self._last: list[str | None] = [None, None]

    def take(self, name: str, argument: Any) -> None:
        """Follow one opcode."""
        if name in _REFUSED:
            raise UnreadablePickleError(f"it holds {name}, which names what only others know")
        if name in _STRINGS:
            self._push(argument)
        elif name == "MEMOIZE":
            self._remember("MEMOIZE", len(self._memo))
        elif name in _PUTS:
            self._remember("PUT", int(argument))
        elif name in _GETS:
            if int(argument) not in self._memo:
                raise UnreadablePickleError("it recalls what it never stored")
            self._push(self._memo[int(argument)])
        elif name in {"GLOBAL", "INST"}:
            self._name(*_two(argument))
            self._push(None)
        elif name == "STACK_GLOBAL":
            self._name(*self._last)
            self._push(None)
        elif name not in {"FRAME", "PROTO"}:
            self._last = [None, None]

    def _push(self, value: str | None) -> None:
        self._last = [self._last[1], value]

    def _remember(self, how: str, index: int) -> None:
        self._memoizes.add(how)
        if len(self._memoizes) > 1:  # they count differently in different unpicklers
            raise UnreadablePickleError("it stores in two ways, which no pickler does")
        self._memo[index] = self._last[1]

    def _name(self, module: str | None, name: str | None) -> None:
        if module is None or name is None:
            raise UnreadablePickleError("it computes the name of something it loads")
        self.found.add(f"{module}.{name}")


def _two(argument: str) -> tuple[str, str]:
    parts = argument.split(" ")
    if len(parts) != 2:  # noqa: PLR2004  # a module and a name
        raise UnreadablePickleError(f"it loads something with an odd name: {argument!r}")
    return parts[0], parts[1]
