"""The one place that makes a channel's client from what the policy or the settings say of it.

Called by wiring and ``steward notify test``. Secrets are looked up here, at the last moment.
"""

from steward.clients.apprise_channel import AppriseChannel
from steward.clients.email_smtp import EmailChannel
from steward.clients.slack import SlackChannel
from steward.errors import ConfigurationError, PermanentError
from steward.policy import ChannelSpec
from steward.policy.installed import channel_recipients, channel_url
from steward.ports import Channel
from steward.settings import Settings


def channel_for(spec: ChannelSpec, settings: Settings) -> Channel:
    """The client of one channel; PermanentError for a value that is missing or cannot be used."""
    try:
        if spec.kind == "slack":
            return SlackChannel(channel_url(spec))
        if spec.kind == "apprise":
            return AppriseChannel(channel_url(spec))
        return _email(spec, settings)
    except ConfigurationError as error:
        raise PermanentError(f"Channel {spec.name}: {error}") from error


def _email(spec: ChannelSpec, settings: Settings) -> EmailChannel:
    if not settings.smtp_url:
        raise ConfigurationError("STEWARD_SMTP_URL is not set, and mail needs a server.")
    return EmailChannel(
        settings.smtp_url.get_secret_value(),
        sender=settings.email_from,
        recipients=channel_recipients(spec),
    )
