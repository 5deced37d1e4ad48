"""The policy: which rules govern which model, read from ``steward.yaml`` by every role."""

from steward.policy.channels import ChannelSpec
from steward.policy.model import Mode, Policy, tag_matches
from steward.policy.policy_set import PolicySet

__all__ = ["ChannelSpec", "Mode", "Policy", "PolicySet", "tag_matches"]
