"""The `steward` command: one module per noun."""


def main() -> None:
    """Entry point."""
