"""What must exist before the roles start: the bucket, the journal's tables, two tokens.

The service `setup` of docker-compose.yml runs it at each `up`; what exists already is kept. The
webhook is made by the service `connect`, later: MLflow tests it, so the receiver must answer.
"""

import os
import subprocess
import sys
from pathlib import Path

import boto3
from botocore.exceptions import ClientError


def main() -> None:
    make_bucket(os.environ["ARTIFACTS_BUCKET"])
    steward("db", "upgrade")
    # The receiver serves others than its own machine only where a token exists.
    steward("token", "create", "operator", "--role", "admin", "--output", os.environ["TOKEN"])
    scrape = Path(os.environ["METRICS_TOKEN"])
    steward("token", "create", "prometheus", "--role", "viewer", "--output", str(scrape))
    scrape.chmod(0o640)  # Prometheus' user is of the group of the volume


def make_bucket(name: str) -> None:
    """Make the bucket for artifacts, unless it is there."""
    s3 = boto3.client("s3")
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise
        s3.create_bucket(Bucket=name)
        print(f"Made the bucket {name}.", flush=True)


def steward(*arguments: str) -> None:
    """Run a `steward` command; when it fails, so does the setup, with its exit code."""
    code = subprocess.run([sys.executable, "-m", "steward.cli", *arguments], check=False).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
