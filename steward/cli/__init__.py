"""The `steward` command: one module per noun. It composes processes; nobody imports it."""

from steward.cli.app import main

__all__ = ["main"]
