from tests.integration.postgresql_support import on_postgresql
from tests.unit import test_unknown_handlers

globals().update(on_postgresql(test_unknown_handlers))
