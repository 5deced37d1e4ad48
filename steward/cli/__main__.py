"""``python -m steward.cli``: how the supervisor starts the roles."""

from steward.cli.app import main

main()
