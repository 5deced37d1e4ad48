"""Writes tags of a version, after their intents; the caller says which differ.

Called by ``annotate`` and ``findings``.
"""

from collections.abc import Mapping

from steward.events import ModelRef
from steward.ports import Intent, Services


def write_tags(
    services: Services, model: ModelRef, version: str, tags: Mapping[str, str | None]
) -> None:
    """Set each, in the order given; None removes it. NotFoundError when the version is gone."""
    if not tags:
        return
    services.ledger.intend(
        [Intent(model, version, f"tag:{key}", value) for key, value in tags.items()]
    )
    for key, value in tags.items():
        if value is None:
            services.registry.delete_version_tag(model, version, key)
        else:
            services.registry.set_version_tag(model, version, key, value)
