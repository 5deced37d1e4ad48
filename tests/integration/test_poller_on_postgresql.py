"""The poller's tests again, on a journal in a real PostgreSQL."""

from tests.integration.postgresql_support import journal_url, module_database
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
    "module_database",
    "poller",
    "registry",
]
