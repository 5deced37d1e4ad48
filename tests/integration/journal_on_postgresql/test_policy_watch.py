from tests.integration.postgresql_support import on_postgresql
from tests.unit import test_policy_watch

globals().update(on_postgresql(test_policy_watch))
