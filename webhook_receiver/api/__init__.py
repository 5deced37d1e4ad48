"""The operators' HTTP API: one module per noun, answered from the journal alone."""
