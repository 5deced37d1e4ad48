"""What every mapping of the policy file is: frozen, unknown keys refused."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One mapping of the policy file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
