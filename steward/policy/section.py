"""What every mapping of the policy file has in common; each section's module starts from here."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One mapping of the policy file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
