"""The one frozen Settings: read once at each entry point from the environment and ``.env``."""

import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from steward.errors import ConfigurationError

Secrets = Annotated[tuple[SecretStr, ...], NoDecode]
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class _FileVariants(PydanticBaseSettingsSource):
    """``STEWARD_X_FILE=/run/secrets/x`` stands for ``STEWARD_X=<the file's text, stripped>``."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        environment = environment_with_dotenv()
        found: dict[str, Any] = {}
        for name in self.settings_cls.model_fields:
            variable = f"STEWARD_{name.upper()}_FILE"
            path = environment.get(variable)
            if not path or name == "policy":
                continue
            try:
                found[name] = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigurationError(f"{variable} names {path}: {error.strerror}.") from error
        return found


def environment_with_dotenv() -> Mapping[str, str]:
    """The process environment over the ``.env`` file of the working directory."""
    dotenv = {key: value for key, value in dotenv_values(".env").items() if value is not None}
    return {**dotenv, **os.environ}


class Settings(BaseSettings):
    """How one Steward process is configured; every field is ``STEWARD_<NAME>``."""

    model_config = SettingsConfigDict(
        env_prefix="STEWARD_", env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    mlflow_tracking_uri: str | None = Field(None, validation_alias="MLFLOW_TRACKING_URI")
    database_url: str | None = None
    broker_url: str | None = None
    policy_file: Path | None = None
    mode: Literal["observe", "recommend", "act"] | None = None
    data_dir: Path = Path(".steward")
    host: str = "127.0.0.1"
    port: int = Field(8800, ge=0, le=65_535)
    health_port: int | None = Field(None, ge=0, le=65_535)
    url: str | None = None
    token: SecretStr | None = None
    webhook_url: str | None = None
    public_url: str | None = None
    replica_url: str | None = None
    webhook_secrets: Secrets = ()
    databricks_secrets: Secrets = ()
    standard_secrets: Secrets = ()
    replica_secrets: Secrets = ()
    slack_webhook_url: SecretStr | None = None
    slack_signing_secret: SecretStr | None = None
    smtp_url: SecretStr | None = None
    email_from: str | None = None
    email_to: Annotated[tuple[str, ...], NoDecode] = ()
    notify_urls: Secrets = ()
    poll_interval_seconds: float = Field(10.0, gt=0)
    catch_up_limit_seconds: float = Field(86_400.0, gt=0)
    sweep_interval_seconds: float = Field(1.0, gt=0)
    lease_seconds: float = Field(60.0, gt=1)
    load_seconds: float = Field(25.0, gt=0)
    """The longest that a version may take to load. It is loaded twice, first in another process,
    which may have to start: a policy's ``reload.timeout_seconds`` is to be 10 s more than twice
    this, so that its replica can still answer."""
    load_memory_mb: int | None = Field(None, gt=0)
    """The most memory that loading a version may take, beside what its process has before; 90% of
    what is available unless set."""
    canary_seconds: float = Field(15.0, gt=0)
    canary_limit_seconds: float = Field(90.0, gt=0)
    keep_bodies_days: float = Field(90.0, ge=0)
    keep_attempts_days: float = Field(30.0, ge=0)
    """How long raw deliveries and ended attempts are kept; 0 keeps them for good."""
    failpoints: str = ""
    allow_failpoints: bool = False
    """For tests: where this process is to kill or stop itself, see ``steward.failpoints``."""
    log_format: Literal["auto", "json", "console"] = "auto"
    built_in_policy: bool = False
    """True where `steward up` made the registry itself: the built-in policy governs it."""

    @field_validator(
        "webhook_secrets",
        "databricks_secrets",
        "standard_secrets",
        "replica_secrets",
        "notify_urls",
        "email_to",
        mode="before",
    )
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, _FileVariants(settings_cls)

    @cached_property
    def journal_url(self) -> str:
        """The journal's database; a SQLite file in the data directory unless one is set."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'steward.db').absolute()}"

    @cached_property
    def receiver_url(self) -> str:
        """Where this installation's receiver answers; used by the CLI, replicas and links."""
        return (self.url or self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    def secret_bytes(self, name: str) -> tuple[bytes, ...]:
        """The secrets of one sender (``webhook``, ``standard``, ``databricks``, ``replica``)."""
        secrets: tuple[SecretStr, ...] = getattr(self, f"{name}_secrets")
        return tuple(secret.get_secret_value().encode() for secret in secrets)


def load_settings(**overrides: Any) -> Settings:
    """Read the settings, or say which one is wrong.

    Raises:
        ConfigurationError: naming each variable, what it held and what is expected.

    """
    try:
        return Settings(**{key: value for key, value in overrides.items() if value is not None})
    except ValidationError as error:
        problems = "; ".join(
            f"STEWARD_{'.'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors()
        )
        raise ConfigurationError(f"The settings are wrong: {problems}.") from error


def expand_references(text: str) -> str:
    """Replace each ``${NAME}`` by the environment's value; policies keep secrets that way.

    Raises:
        ConfigurationError: for a variable that is not set.

    """
    environment = environment_with_dotenv()

    def value_of(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise ConfigurationError(f"${{{match[1]}}} is used but not set in the environment.")
        return environment[match[1]]

    return _REFERENCE.sub(value_of, text)
