from tests.integration.postgresql_support import on_postgresql
from tests.unit import test_sweep

globals().update(on_postgresql(test_sweep))
