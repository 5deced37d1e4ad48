from tests.integration.postgresql_support import on_postgresql
from tests.unit import test_poller_company

globals().update(on_postgresql(test_poller_company))
