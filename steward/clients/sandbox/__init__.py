"""Where models that nobody trusts are loaded: content checked first, then one fork for each."""
