from tests.integration.postgresql_support import on_postgresql
from tests.unit import test_running

globals().update(on_postgresql(test_running))
