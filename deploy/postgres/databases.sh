#!/bin/sh
# Run once by the postgres image, on an empty volume: a role and a database each for MLflow and
# Steward. Neither may enter the other's.
set -eu
make_database() {
  psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 -v name="$1" -v file="$2" \
    --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\setenv PASSWORD_FILE :file
\set password `cat "$PASSWORD_FILE"`
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}
make_database mlflow "$MLFLOW_DB_PASSWORD_FILE"
make_database steward "$STEWARD_DB_PASSWORD_FILE"
