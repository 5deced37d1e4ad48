"""The policy file as JSON Schema, for editors: ``steward policy schema`` prints it.

Made from the same sections that a file is validated by, so that it is never behind them. It knows
each key and its kind; ``steward policy check`` knows also what fits together.
"""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from steward.policy.file import PolicyFile

DIALECT = GenerateJsonSchema.schema_dialect
"""The address of the version of JSON Schema that it is written in."""


def policy_schema() -> dict[str, Any]:
    """The schema of ``steward.yaml``, as a JSON document."""
    found = PolicyFile.model_json_schema(schema_generator=_ForEditors)
    found["properties"]["version"] = {"enum": [1, "1"]}  # ours is the text of what an editor sees
    return {"$schema": DIALECT, **found, "title": "Steward's policy file"}


class _ForEditors(GenerateJsonSchema):
    """An editor sees numbers where Steward reads their text, so that 0.10 stays 0.10."""

    def str_schema(self, schema: Any) -> JsonSchemaValue:
        return {**super().str_schema(schema), "type": ["string", "number"]}

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        found = super().model_schema(schema)
        if "description" in found:
            found["description"] = found["description"].replace("``", "`")
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # pydantic's signature
        return False  # it would be the key itself
