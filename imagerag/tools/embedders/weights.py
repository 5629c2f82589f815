"""Resolve a model name to an open_clip architecture, weight file or tag, preprocessing, and identity."""

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import BackendError, SpecError, UsageError, first_line
from imagerag.agent.ports import EmbedderIdentity
from imagerag.tools.credentials import check_hub
from imagerag.tools.embedders.model_config import checked_config
from imagerag.tools.embedders.openclip_import import open_clip_for
from imagerag.tools.huggingface_hub import hub

_LOG: Final = logging.getLogger(__name__)
_CONFIG: Final = "open_clip_config.json"
_SMALL_FILES: Final = (_CONFIG, "*tokenizer*", "special_tokens_map.json", "vocab*", "merges.txt", "spiece.model")
"""Of a repository: everything but the weights."""
_REPOSITORY: Final = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_SUFFIXES: Final = (".safetensors", ".pt", ".pth", ".bin", ".npz")
_LOCAL_FILES: Final = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin",
)  # fmt: skip
_HUB: Final = "open_clip:hf-hub"
_FOLDERS: Final = {_HUB: "open_clip:local-dir:FOLDER", "transformers": "transformers:/DIR"}
"""How the same model is named as a folder."""
_QUICK_GELU_HINTS: Final = ("openai", "metaclip", "dfn", "laion400m")


@dataclass(frozen=True)
class Source:
    """An open_clip model, resolved but not loaded.

    Attributes:
        name: open_clip's name for it: a built-in architecture, or `local-dir:` with a folder.
        spec: the canonical model part of its backend spec.
        file: the weights on disk; None if `tag` has to be downloaded.
        tag: the pretrained tag, if there is one.
        repository: `ORG/NAME@COMMIT` of the hub whose weights have to be downloaded; empty for all others.
        model_config: open_clip's `model_cfg`.
        preprocess: keyword arguments of open_clip's `PreprocessCfg`.
        quick_gelu: whether the weights need the QuickGELU activation.
    """

    name: str
    spec: str
    file: Path | None
    tag: str | None
    model_config: dict[str, Any]
    preprocess: dict[str, Any]
    quick_gelu: bool
    repository: str = ""

    @property
    def context_length(self) -> int:
        """Number of tokens that the text tower reads."""
        return int(self.model_config["text_cfg"].get("context_length", 77))

    @property
    def side(self) -> int:
        """The longer side of the image tower's input, in pixels."""
        size = self.preprocess["size"]
        return int(size if isinstance(size, int) else max(size))

    def identity(self, spec: str) -> EmbedderIdentity:
        """Identity of its vectors; hashes the weight file if there is one."""
        name = "local-dir" if self.name.startswith("local-dir:") else self.name
        gelu = " QuickGELU" if self.quick_gelu and "quickgelu" not in name else ""
        if self.repository:
            name, _, weights = self.repository.partition("@")
        else:
            weights = f"sha256:{file_digest(self.file, self.file.stat().st_mtime_ns)}" if self.file else str(self.tag)
        return EmbedderIdentity(
            spec=spec,
            model=f"open_clip {name}{gelu}",
            weights=weights,
            preprocess=_in_words(self.preprocess),
            dimension=int(self.model_config["embed_dim"]),
        )


def find(model: str, *, quick_gelu: bool | None = None) -> Source:
    """Resolve `NAME/TAG`, `NAME/FILE`, `NAME/TAG=FILE`, `local-dir:DIR` or `hf-hub:ORG/NAME[@REVISION]`.

    `NAME/TAG=FILE` takes the weights from the file, and activation and preprocessing from the tag. It is the safe form
    for a weight file, because the file names neither.

    Args:
        quick_gelu: force the activation; by default the tag, the name or the folder's configuration decides.

    Raises:
        SpecError: open_clip has no such architecture or tag.
        UsageError: a file or folder does not exist.
        BackendError: the configuration of a repository cannot be downloaded.
    """
    if model.startswith("local-dir:"):
        return _local(Path(model.removeprefix("local-dir:")).expanduser(), quick_gelu)
    if model.startswith("hf-hub:"):
        return _of_hub(model.removeprefix("hf-hub:"), quick_gelu)
    name, slash, rest = model.partition("/")
    if not slash or not rest:
        raise SpecError(f"open_clip:{model} names no weights: open_clip:NAME/TAG, such as ViT-B-32-quickgelu/openai")
    tag, separator, path = rest.partition("=")
    if separator:
        return _built_in(name, tag, _existing(path), quick_gelu)
    if "/" in rest or rest.endswith(_SUFFIXES):
        return _built_in(name, None, _existing(rest), quick_gelu)
    return _built_in(name, rest, None, quick_gelu)


def _local(folder: Path, quick_gelu: bool | None) -> Source:
    file = next((folder / name for name in _LOCAL_FILES if (folder / name).is_file()), None)
    if not (folder / _CONFIG).is_file() or file is None:
        raise UsageError(f"{folder} is no open_clip folder: it needs {_CONFIG} and {_LOCAL_FILES[0]}")
    model, preprocess, gelu = _configured(folder, quick_gelu)
    return Source(f"local-dir:{folder}", f"local-dir:{folder.resolve()}", file, None, model, preprocess, gelu)


def _of_hub(name: str, quick_gelu: bool | None) -> Source:
    """A repository of the Hugging Face hub, with its configuration and tokenizer; `fetch` downloads its weights.

    The commit becomes part of the spec, so that a library's encoder stays the same when the repository changes.
    """
    repository, _, revision = name.partition("@")
    if not _REPOSITORY.fullmatch(repository):
        raise SpecError(f"open_clip:hf-hub:{name} is no repository: open_clip:hf-hub:ORG/NAME[@REVISION]")
    folder = snapshot(_HUB, repository, revision or None, _SMALL_FILES)
    if not (folder / _CONFIG).is_file():
        raise UsageError(f"open_clip:hf-hub:{name} has no {_CONFIG}: it is no model of open_clip")
    model, preprocess, gelu = _configured(folder, quick_gelu)
    pinned = f"{repository}@{folder.name}"
    return Source(f"local-dir:{folder}", f"hf-hub:{pinned}", None, None, model, preprocess, gelu, pinned)


def snapshot(provider: str, repository: str, revision: str | None, files: Sequence[str]) -> Path:
    """The folder of a commit in the hub's cache, with the files that match.

    Args:
        provider: the spec's, for messages: `open_clip:hf-hub` or `transformers`.

    Raises:
        BackendError: they cannot be downloaded.
    """
    from huggingface_hub import snapshot_download

    check_hub(f"{provider}:{repository}")
    try:
        with hub(repository):
            return Path(snapshot_download(repository, revision=revision, allow_patterns=list(files)))
    except Exception as error:
        raise BackendError(
            f"{repository} could not be downloaded ({first_line(error)}). Without a network, name a folder that has "
            f"its files: {_FOLDERS[provider]}",
            retryable=False,
        ) from error


def _configured(folder: Path, quick_gelu: bool | None) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """Architecture, preprocessing and activation of a folder's configuration."""
    config_file = folder / _CONFIG
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
        model = checked_config(config["model_cfg"], str(config_file))
        preprocess = _preprocess(model, config.get("preprocess_cfg", {}))
    except UsageError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{config_file} is no open_clip configuration: {error!r}") from error
    return model, preprocess, bool(model.get("quick_gelu")) if quick_gelu is None else quick_gelu


def _built_in(name: str, tag: str | None, file: Path | None, quick_gelu: bool | None) -> Source:
    open_clip = open_clip_for()

    config = open_clip.get_model_config(name)
    if config is None:
        raise SpecError(f"open_clip has no model {name!r}; it has: {', '.join(open_clip.list_models())}")
    pretrained: dict[str, Any] = open_clip.get_pretrained_cfg(name, tag) if tag else {}
    if tag and not pretrained:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise SpecError(f"open_clip has no weights {tag!r} for {name}; it has: {tags}")
    uses_quick_gelu = bool(pretrained.get("quick_gelu")) if tag else bool(config.get("quick_gelu"))
    uses_quick_gelu = uses_quick_gelu if quick_gelu is None else quick_gelu
    name, config = _with_activation(name, config, uses_quick_gelu, tag)
    if file and not tag and not uses_quick_gelu and any(hint in file.name.lower() for hint in _QUICK_GELU_HINTS):
        _LOG.warning("%s looks like QuickGELU weights: name them %s/TAG=%s to be sure", file, name, file)
    spec = f"{name}/" + "=".join(part for part in (tag, str(file.resolve()) if file else None) if part)
    return Source(name, spec, file, tag, config, _preprocess(config, pretrained), uses_quick_gelu)


def _with_activation(
    name: str, config: dict[str, Any], quick_gelu: bool, tag: str | None
) -> tuple[str, dict[str, Any]]:
    """The architecture with the activation that its weights were trained with; open_clip itself would only warn."""
    open_clip = open_clip_for()

    if bool(config.get("quick_gelu")) == quick_gelu:
        return name, config
    other = f"{name}-quickgelu" if quick_gelu else name.removesuffix("-quickgelu")
    other_config = open_clip.get_model_config(other) if other != name else None
    _LOG.warning("%s/%s wants %s: using it", name, tag or "FILE", other if other_config else f"quick_gelu={quick_gelu}")
    return (other, other_config) if other_config else (name, {**config, "quick_gelu": quick_gelu})


def _existing(path: str) -> Path:
    """An existing path after a slash: relative, or absolute with its own slash as the separator."""
    for candidate in (Path(path).expanduser(), Path("/") / path):
        if candidate.is_file():
            return candidate
    raise UsageError(f"there is no weight file {path!r}")


def _preprocess(model: dict[str, Any], pretrained: dict[str, Any]) -> dict[str, Any]:
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # open_clip's defaults
    base: dict[str, Any] = {
        "mean": mean, "std": std, "interpolation": "bicubic", "resize_mode": "shortest", "fill_color": 0,
    }  # fmt: skip
    base |= {key: value for key, value in pretrained.items() if key in base and value is not None}
    size = model["vision_cfg"].get("image_size", 224)
    return {**base, "size": size, "mean": tuple(base["mean"]), "std": tuple(base["std"])}


def _in_words(preprocess: dict[str, Any]) -> str:
    size = preprocess["size"]
    width, height = (size, size) if isinstance(size, int) else (size[1], size[0])
    mean, std = (" ".join(f"{value:.4g}" for value in preprocess[key]) for key in ("mean", "std"))
    fill = f" on {preprocess['fill_color']}" if preprocess["resize_mode"] == "longest" else ""
    return f"{width}x{height}, {preprocess['resize_mode']}{fill}, {preprocess['interpolation']}, mean {mean}, std {std}"


@lru_cache(maxsize=32)
def file_digest(file: Path, _changed: int) -> str:
    """SHA-256 of a file, computed once for each time that it was changed."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch(source: Source) -> Path:
    """The weight file of a source, downloaded by its tag if necessary (cached in the Hugging Face cache).

    Raises:
        BackendError: it cannot be downloaded.
    """
    if source.file:
        return source.file
    if source.repository:
        return _fetched(source.repository)
    open_clip = open_clip_for()

    check_hub(f"open_clip:{source.spec}")
    try:
        with hub(source.tag):
            return Path(open_clip.download_pretrained(open_clip.get_pretrained_cfg(source.name, source.tag)))
    except Exception as error:
        raise BackendError(
            f"the weights {source.tag} of {source.name} could not be downloaded ({error}). Without a network, name a "
            f"file you have: open_clip:{source.name}/{source.tag}=/path/to/weights.safetensors; or use sketch, which "
            "comes with the package",
            retryable=False,
        ) from error


def _fetched(repository: str) -> Path:
    """The weight file of a commit of the hub."""
    name, _, commit = repository.partition("@")
    for file in _LOCAL_FILES:
        path = snapshot(_HUB, name, commit, (file,)) / file
        if path.is_file():
            return path
    raise BackendError(f"{repository} has none of {', '.join(_LOCAL_FILES)}", retryable=False)
