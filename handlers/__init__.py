"""What happens when X? This table is the answer: event type -> names of handlers.

Each name is a module of this room with a function of the same name, a Celery task, and a value of
``dispatches.handler``. The module imports nothing, so that every room may read it.
"""

ROUTES: dict[str, tuple[str, ...]] = {
    "model_version.created": ("validate",),
    "model_version.updated": ("validate",),
    "model_version.metrics_logged": ("validate",),
    "model_version_tag.set": ("validate",),
    "model_version_tag.deleted": ("validate",),
    "model_version.validated": ("promote", "annotate"),
    "model_version.rejected": ("annotate", "notify"),
    "promotion.held": ("annotate", "notify"),
    "promotion.requested": ("validate",),
    "approval.requested": ("validate", "expire", "annotate", "notify"),
    "approval.approved": ("validate",),  # to the end of the road: what was asked is judged anew
    "approval.rejected": ("annotate", "notify"),
    "approval.expired": ("annotate", "notify"),
    "model_version.promoted": ("annotate",),  # people are told after the rollout
    "model_version.rolled_back": ("annotate",),
    "model_version.transitioned_stage": ("confirm",),
    "model_version_alias.created": ("confirm",),
    "model_version_alias.deleted": ("confirm",),
    "model_version.deleted": ("confirm",),
    "registered_model.champion_changed": ("reload", "annotate"),
    "rollout.finished": ("notify",),
    "rollout.failed": ("rollback", "notify"),
    "rollback.requested": ("rollback",),
    "policy.violated": ("notify",),
    "dispatch.died": ("confirm", "notify"),
    "automation.resumed": ("confirm",),  # of one model: what the pause left as it was
}
"""Handlers of each event type, in the order they are listed to operators."""

LANES: dict[str, str] = {
    "promote": "production",
    "rollback": "production",
    "confirm": "production",
    "reload": "fleet",
}
"""Kind of lane that a handler runs in: one at a time a model. The others run freely."""

QUEUES: dict[str, str] = {"validate": "validation"}
"""Queue of a handler where it is not ``default``."""

PER_CHANNEL: frozenset[str] = frozenset({"notify"})
"""Handlers dispatched once a channel that the policy routes the event to."""
