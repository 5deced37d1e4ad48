"""The ground every room stands on: words, values, ports, the journal and the outside clients."""

__version__ = "0.1.0"
