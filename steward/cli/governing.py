"""Says what governs a model and what its replicas follow, for ``models show`` and ``explain``."""

from typing import Any


def policy_told(policy: dict[str, Any]) -> str:
    """The policy in force and how much it lets Steward do."""
    name = policy["ref"] or "no policy governs this model"
    return f"{name} (mode {policy['mode']})"


def replicas_follow(desired: dict[str, Any] | None, production: str | None) -> str:
    """What the replicas should serve: what Steward desires, else what is Production."""
    if desired:
        return f"should serve version {desired['version']}"
    if production:
        return f"start with Production, version {production}"
    return "nothing is Production yet"


def reloads_nothing(policy: dict[str, Any], desired: dict[str, Any] | None) -> str | None:
    """Why nobody moves the replicas; None where Steward does."""
    if desired or policy["mode"] == "act":
        return None
    return (
        f"Steward reloads nothing in mode {policy['mode']}; "
        "replicas follow the registry when they start."
    )
