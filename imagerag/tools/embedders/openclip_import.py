"""Import open_clip without the packages that its plain CLIP models never call; they take most of the import time.

`import open_clip` loads transformers (for Hugging Face text towers, and CoCa), timm and torchvision for any model.
`open_clip_for` executes open_clip's own files a second time under another name, in which imports of those packages fail
as if they were not installed; open_clip itself, and its other importers, are unchanged. Models that need one of these
packages get the ordinary open_clip, as do all models if the copy cannot be made.
"""

import builtins
import logging
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final

COPY: Final = "imagerag_open_clip"
"""Name of the copy among the loaded modules."""

_ABSENT: Final = ("transformers", "timm", "horovod", "torch.distributed")
"""Packages that open_clip can do without: it catches the ImportError."""

_NAMED_ONLY: Final = ("torchvision",)
"""Packages that open_clip imports unconditionally; only training and image transforms use their names."""

_FOR_FEW_TEXTS: Final = ("ftfy",)
"""Packages that repair broken text for the tokenizer; plain texts, which are nearly all queries, stay as they are."""

_LATER: Final = ("huggingface_hub",)
"""Packages imported when one of their functions is called: weights are downloaded once and read many times."""

_LOG: Final = logging.getLogger(__name__)


def open_clip_for(config: Mapping[str, Any] | None = None) -> Any:
    """The module `open_clip`, or a copy that loads faster if the model can use it.

    Args:
        config: open_clip's `model_cfg`; None to look up names, configurations and weights only.
    """
    if "open_clip" in sys.modules or not plain(config):
        return import_module("open_clip")
    return _copy() or import_module("open_clip")


def plain(config: Mapping[str, Any] | None) -> bool:
    """Whether a model consists of open_clip's own parts only."""
    if config is None:
        return True
    towers = [config.get(name) or {} for name in ("text_cfg", "vision_cfg")]
    borrowed = any(key.startswith(("hf_", "timm_")) and value for tower in towers for key, value in tower.items())
    return not borrowed and not config.get("multimodal_cfg")


def own_text_tower(config: Mapping[str, Any]) -> bool:
    """Whether a model borrows no more than an image tower of timm and a tokenizer."""
    text = config.get("text_cfg") or {}
    borrowed = any(key.startswith("hf_") and value for key, value in text.items() if key != "hf_tokenizer_name")
    return not borrowed and not config.get("multimodal_cfg")


@cache
def _copy() -> ModuleType | None:
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        return None
    finder = _Finder(Path(spec.origin).parent)
    sys.meta_path.insert(0, finder)  # before the finder that would find the same files by the package's path
    try:
        import torch  # noqa: F401  (first, and whole: the copy's own import of it is nobody else's)

        return import_module(COPY)
    except Exception as error:  # another version of open_clip, with other imports
        _LOG.debug("open_clip is loaded whole: %r", error)
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] == COPY]:
            del sys.modules[name]
        return None


class _Finder(MetaPathFinder):
    """Finder of the copy's modules only, in open_clip's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Spec of a module of the copy."""
        top, *rest = name.split(".")
        if top != COPY:
            return None
        place = self._folder.joinpath(*rest)
        folders = [str(place)] if place.is_dir() else None
        file = place / "__init__.py" if folders else place.with_suffix(".py")
        if not file.is_file():
            return None
        return spec_from_file_location(name, file, loader=_Loader(name, str(file)), submodule_search_locations=folders)


class _Loader(SourceFileLoader):
    """Loader that executes a module with `_import` as its import function."""

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module's file."""
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)


def _import(name: str, scope: Any = None, local: Any = None, names: Sequence[str] | None = (), level: int = 0) -> Any:
    if level == 0 and _is_of(name, _ABSENT):
        raise ImportError(f"{name} is left out of {COPY}", name=name)
    if level == 0 and _is_of(name, _NAMED_ONLY):
        return _NamedOnly(name)
    if level == 0 and not names and name in _FOR_FEW_TEXTS:
        return _Mender(name)
    if level == 0 and names and _is_of(name, _LATER):
        return _Later(name)
    return builtins.__import__(name, scope, local, names or (), level)


def _is_of(name: str, packages: Sequence[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


class _NamedOnly(ModuleType):
    """Stub of a package whose names are imported but never used: each is a class that cannot be instantiated."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _part(f"{self.__name__}.{name}")


class _Mender(ModuleType):
    """Stub of ftfy until a text is not plain: building its tables takes longer than building a tokenizer."""

    def fix_text(self, text: str, *args: Any, **kwargs: Any) -> str:
        """As `ftfy.fix_text`: printable ASCII without the `&` of an HTML entity needs no repair."""
        if text.isascii() and text.isprintable() and "&" not in text:
            return text
        fixed: str = import_module(self.__name__).fix_text(text, *args, **kwargs)
        return fixed

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


class _Later(ModuleType):
    """Stub of a package until one of its functions is called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(import_module(self.__name__), name)(*args, **kwargs)

        return call


@cache
def _part(place: str) -> Any:
    class Absent(metaclass=_Names):
        """Placeholder of a name that was not imported."""

        PLACE = place

        def __init__(self, *_: Any, **__: Any) -> None:
            raise ImportError(f"{place} is left out of {COPY}", name=place)

    return Absent


class _Names(type):
    """Metaclass of placeholders: their attributes are placeholders too."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _part(f"{vars(cls).get('PLACE', cls.__name__)}.{name}")
