"""A real S3 API on a free loopback port: moto's server as a process. It keeps all in memory."""

import sys
from pathlib import Path
from typing import Any, Self

import httpx

from tests.servers import Child, Server, free_port

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "steward-tests", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}


class S3Server(Server):
    """Takes any credentials, as long as requests are signed with some."""

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",  # it is asked for where there are no credentials
        }
        """What a client of it needs beside credentials."""

    def start(self) -> Self:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.child = Child(command, self.directory / "s3.log")
        self.child.wait_until(self.is_answering, 60)
        return self

    def is_answering(self) -> bool:
        try:
            return httpx.get(f"{self.url}/moto-api/", timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def client(self) -> Any:
        """boto3's own client of it."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def keys(self, bucket: str) -> list[str]:
        """The names of the objects in a bucket."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [each["Key"] for page in pages for each in page.get("Contents", ())]
