from tests.integration.postgresql_support import on_postgresql
from tests.unit import test_observed_property

globals().update(on_postgresql(test_observed_property))
