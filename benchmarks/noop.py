"""Steward's own command, whose one handler does nothing: ``python -m benchmarks.noop worker``."""

import sys
from types import ModuleType

import handlers
from steward.events import Event
from steward.ports import Done, Services


def noop(_event: Event, _services: Services) -> Done:
    """Handle an event by doing nothing about it."""
    return Done()


def register() -> None:
    """Let it stand for every other handler. Before anything else reads the table of routes."""
    module = ModuleType("handlers.noop")
    module.__dict__["noop"] = noop
    sys.modules["handlers.noop"] = module
    handlers.ROUTES.clear()
    handlers.ROUTES["model_version.created"] = ("noop",)


if __name__ == "__main__":
    register()
    from steward.cli.app import main

    main()
