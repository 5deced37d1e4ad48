"""Opens this installation's journal, with its tables ready and the house's routes."""

from steward.journal.migrate import upgrade
from steward.journal.routing import Routing
from steward.journal.store import Journal, open_engine
from steward.policy.installed import settings_channels
from steward.settings import Settings


def open_journal(settings: Settings, routing: Routing) -> Journal:
    """The journal of ``STEWARD_DATABASE_URL``, created or upgraded first.

    Raises:
        ConfigurationError: the URL is wrong, or the journal belongs to a newer Steward.

    """
    journal = Journal(
        open_engine(settings.journal_url), routing, channels=tuple(settings_channels(settings))
    )
    upgrade(journal)
    return journal
