# ruff: noqa: F403 -- the tests are imported, and find the fixtures below
"""The journal's own tests again, on a real PostgreSQL."""

from tests.integration import postgresql_support
from tests.unit.test_journal_deliveries import *
from tests.unit.test_journal_dispatches import *
from tests.unit.test_journal_queries import *
from tests.unit.test_journal_replay import *
from tests.unit.test_journal_stress import *

module_database = postgresql_support.module_database
journal_url = postgresql_support.journal_url  # instead of the SQLite file that came with the tests
