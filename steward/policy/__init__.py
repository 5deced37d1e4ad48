"""The policy: which rules govern which model, read from ``steward.yaml`` by every role."""

from steward.policy.channels import ChannelSpec
from steward.policy.model import LOOKS_LIKE_PRODUCTION, PREVIOUS_ALIAS, Mode, Policy
from steward.policy.policy_set import PolicySet
from steward.policy.require import tag_matches

__all__ = [
    "LOOKS_LIKE_PRODUCTION",
    "PREVIOUS_ALIAS",
    "ChannelSpec",
    "Mode",
    "Policy",
    "PolicySet",
    "tag_matches",
]
