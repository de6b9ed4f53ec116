"""The version of this package; peers name it when theirs differs."""

__all__ = ["__version__"]

__version__ = "0.1.0"
