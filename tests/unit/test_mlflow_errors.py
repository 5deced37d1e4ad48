import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST

from steward.clients.mlflow_errors import translated
from steward.errors import PermanentError, TransientError

SQLITE = "(sqlite3.IntegrityError) UNIQUE constraint failed: model_version_tags.key"
POSTGRESQL = "(psycopg2.errors.UniqueViolation) duplicate key value violates unique constraint"
MYSQL = "(pymysql.err.IntegrityError) (1062, \"Duplicate entry 'default' for key 'PRIMARY'\")"


@pytest.mark.parametrize("message", [SQLITE, POSTGRESQL, MYSQL])
def test_the_same_tag_written_by_two_at_once_is_tried_again(message: str) -> None:
    error = MlflowException(message, error_code=BAD_REQUEST)

    assert isinstance(translated(error, "http://mlflow"), TransientError)


def test_another_bad_request_is_not_tried_again() -> None:
    error = MlflowException("no such column", error_code=BAD_REQUEST)

    assert isinstance(translated(error, "http://mlflow"), PermanentError)
