"""Real clients: each implements one port on one outside service."""
