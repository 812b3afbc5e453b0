"""The version of the package, which every room may read."""

__version__ = "0.1.0"
