"""The poller's tests again, on a journal in a real PostgreSQL."""

from tests.integration.test_journal_on_postgresql import journal_url, postgresql
from tests.unit.poller_support import hints, journal, journal_begins_now, poller, registry
from tests.unit.test_poller import TestWhatAPollFinds
from tests.unit.test_poller_company import TestBesideWebhooks, TestSeveralPollers
from tests.unit.test_poller_history import TestHistory, TestLateMetrics

__all__ = [
    "TestBesideWebhooks",
    "TestHistory",
    "TestLateMetrics",
    "TestSeveralPollers",
    "TestWhatAPollFinds",
    "hints",
    "journal",
    "journal_begins_now",
    "journal_url",
    "poller",
    "postgresql",
    "registry",
]
