"""open_clip without the packages that its plain CLIP models never call: they take most of the time of its import.

`import open_clip` loads transformers (for text towers of Hugging Face, and CoCa), timm and torchvision, whatever model
is wanted. `open_clip_for` executes open_clip's own files a second time under another name, where imports of those
packages fail as if they were not installed; open_clip itself, and whoever else imports it, are left as they are. Models
that need one of these packages get the ordinary open_clip, and so does everybody where the copy cannot be made.
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
"""What the copy is called among the loaded modules."""

_ABSENT: Final = ("transformers", "timm", "horovod", "torch.distributed")
"""open_clip has a way without each of these: it catches the ImportError."""

_NAMED_ONLY: Final = ("torchvision",)
"""Imported without a way around; names of it are used in training and in the transforms of images alone."""

_FOR_FEW_TEXTS: Final = ("ftfy",)
"""Mends broken texts for the tokenizer; plain ones, which are nearly all queries, it leaves as they are."""

_LATER: Final = ("huggingface_hub",)
"""Imported when a function of it is called: weights are fetched once, and read many times."""

_LOG: Final = logging.getLogger(__name__)


def open_clip_for(config: Mapping[str, Any] | None = None) -> Any:
    """The module `open_clip`, or a copy of it that loads faster, as far as a model needs it.

    Args:
        config: open_clip's `model_cfg`; None to look up names, configurations and weights only.
    """
    if "open_clip" in sys.modules or not plain(config):
        return import_module("open_clip")
    return _copy() or import_module("open_clip")


def plain(config: Mapping[str, Any] | None) -> bool:
    """Whether a model is built from open_clip's own parts alone."""
    if config is None:
        return True
    towers = [config.get(name) or {} for name in ("text_cfg", "vision_cfg")]
    borrowed = any(key.startswith(("hf_", "timm_")) and value for tower in towers for key, value in tower.items())
    return not borrowed and not config.get("multimodal_cfg")


@cache
def _copy() -> ModuleType | None:
    found = find_spec("open_clip")
    if found is None or found.origin is None:
        return None
    finder = _Finder(Path(found.origin).parent)
    sys.meta_path.insert(0, finder)  # before the one that would find the same files by the package's path
    try:
        import torch  # noqa: F401  (first, and whole: the copy's own import of it is nobody else's)

        return import_module(COPY)
    except Exception as error:  # another version of open_clip, which imports in another way
        _LOG.debug("open_clip is loaded whole: %r", error)
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] == COPY]:
            del sys.modules[name]
        return None


class _Finder(MetaPathFinder):
    """Finds the copy's modules, and nothing else, in open_clip's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The place of a module of the copy."""
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
    """Executes a module whose imports go through `_import`."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's file."""
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
    """Stands for a package of which only names are needed: each is a class that cannot be made."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _part(f"{self.__name__}.{name}")


class _Mender(ModuleType):
    """Stands for ftfy until a text is not plain: its tables take longer to make than a tokenizer."""

    def fix_text(self, text: str, *given: Any, **named: Any) -> str:
        """As `ftfy.fix_text`: printable ASCII without the `&` of an HTML entity has nothing to be mended."""
        if text.isascii() and text.isprintable() and "&" not in text:
            return text
        fixed: str = import_module(self.__name__).fix_text(text, *given, **named)
        return fixed

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


class _Later(ModuleType):
    """Stands for a package until one of its functions is called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*given: Any, **named: Any) -> Any:
            return getattr(import_module(self.__name__), name)(*given, **named)

        return call


@cache
def _part(place: str) -> Any:
    class Absent(metaclass=_Names):
        """Something that was not imported."""

        PLACE = place

        def __init__(self, *_: Any, **__: Any) -> None:
            raise ImportError(f"{place} is left out of {COPY}", name=place)

    return Absent


class _Names(type):
    """Of a part that was not imported: its own parts are named likewise."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _part(f"{vars(cls).get('PLACE', cls.__name__)}.{name}")
