"""What the settings add to the policy: the file in force, and channels outside any file.

Called by wiring, the CLI and the receiver. Handlers never see the settings, so this module is
imported by its own name and not with the package.
"""

from steward.policy.channels import ChannelSpec
from steward.policy.policy_set import PolicySet
from steward.settings import Settings, expand_references


def policies_in_force(settings: Settings) -> PolicySet:
    """The file of the settings; else the built-in policy where it governs; else observe only."""
    if settings.policy_file:
        return PolicySet.load(settings.policy_file)
    return PolicySet.built_in() if settings.built_in_policy else PolicySet.observe_only()


def channel_url(channel: ChannelSpec) -> str:
    """The URL of a slack or apprise channel; ConfigurationError for a variable that is not set."""
    return expand_references(channel.value.get_secret_value())


def channel_recipients(channel: ChannelSpec) -> tuple[str, ...]:
    """The addresses of an email channel; ConfigurationError for a variable that is not set."""
    expanded = expand_references(",".join(channel.addresses))
    return tuple(part.strip() for part in expanded.split(",") if part.strip())


def settings_channels(settings: Settings) -> dict[str, ChannelSpec]:
    """The channels that exist without a policy file: slack, email, apprise, apprise-2 ..."""
    channels: list[ChannelSpec] = []
    if settings.slack_webhook_url:
        channels.append(ChannelSpec("slack", "slack", settings.slack_webhook_url))
    if settings.smtp_url and settings.email_to:
        channels.append(ChannelSpec("email", "email", addresses=settings.email_to))
    for number, url in enumerate(settings.notify_urls, start=1):
        name = "apprise" if number == 1 else f"apprise-{number}"
        channels.append(ChannelSpec(name, "apprise", url))
    return {channel.name: channel for channel in channels}
