"""Fast import of lancedb, without defining the API clients of a remote server.

lancedb imports `lance_namespace_urllib3_client`, whose hundreds of generated API methods take longer to define than all
the rest of lancedb. Here that package defines its API classes on first access; their behaviour is unchanged.
"""

import builtins
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, Final

CLIENT: Final = "lance_namespace_urllib3_client"

READ_AHEAD: Final = 256 * 2**20
"""Bytes that Lance reads ahead of a scan whose rows are used slower than they are read; its own default is 2 GiB."""

SETTINGS: Final = {
    "LANCEDB_LOG": "error",  # its warnings go directly to stderr, which carries imagerag's own messages
    "LANCE_DEFAULT_IO_BUFFER_SIZE": str(READ_AHEAD),
    # Lance leaves two cores to reading: of two cores one thread is left, which answers several queries in turn.
    "LANCE_IO_CORE_RESERVATION": "0",
    # A search reads a few rows, column by column: handing each to another thread takes longer than decoding it.
    "LANCE_STRUCTURAL_BATCH_DECODE_SPAWN_MODE": "never",
}
"""Environment variables of Lance and their values, unless they are set."""


@cache
def import_lancedb() -> Any:
    """The module `lancedb`."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if "lancedb" in sys.modules or CLIENT in sys.modules:
        return import_module("lancedb")
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        return import_module("lancedb")
    finally:
        with suppress(ValueError):
            sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Import finder for that package alone."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of the package; None for other modules, and if it is not loaded from a source file."""
        spec = PathFinder.find_spec(name, path, target) if name == CLIENT else None
        if spec is None or type(spec.loader) is not SourceFileLoader:
            return None
        spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Executes the package and defers its API classes."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the package's file."""
        names = vars(module)
        names["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)
        names["__builtins__"] = builtins
        later = {name: value for name, value in names.items() if isinstance(value, _Later)}
        for name in later:
            del names[name]

        def get(name: str) -> Any:
            if name not in later:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            names[name] = getattr(import_module(later[name].module), later[name].name)
            return names[name]

        names["__getattr__"] = get
        names.setdefault("__all__", [name for name in (*names, *later) if not name.startswith("_")])


class _Later:
    """A class of a module that is not imported yet."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Module:
    """A module that is not imported yet."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> _Later:
        return _Later(self._name, name)


def _import(name: str, scope: Any = None, local: Any = None, names: Sequence[str] | None = (), level: int = 0) -> Any:
    if level == 0 and names and name.startswith(f"{CLIENT}.api."):
        return _Module(name)
    return builtins.__import__(name, scope, local, names or (), level)
