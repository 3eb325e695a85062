"""attention-harness: which implementation of attention is correct, fast and small for your shapes on your machine."""

__version__ = "0.1.0"
