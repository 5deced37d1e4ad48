"""A model replica: one process that serves one registered model, and follows its Production."""
