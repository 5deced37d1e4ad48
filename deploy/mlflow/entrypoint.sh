#!/bin/sh
# MLflow takes secrets from the environment alone; here X_FILE=/run/secrets/x stands for X.
set -eu
for name in MLFLOW_BACKEND_STORE_URI MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY; do
  eval "file=\${${name}_FILE:-}"
  if [ -n "$file" ]; then
    value=$(cat "$file")
    export "$name=$value"
    unset "${name}_FILE"
  fi
done
exec "$@"
