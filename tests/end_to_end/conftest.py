"""The command line's home and runner, for tests that begin there."""

from tests.cli.conftest import home, imagerag

__all__ = ["home", "imagerag"]
