from tests.integration.postgresql_support import on_postgresql
from tests.unit import test_journal_receipts

globals().update(on_postgresql(test_journal_receipts))
