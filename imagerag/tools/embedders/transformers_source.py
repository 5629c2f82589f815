"""Resolve `transformers:ORG/NAME[@COMMIT]` or `transformers:/DIR` to files, a configuration and an identity.

Only architectures that transformers itself has are loaded: a model whose repository brings code is refused, since code
of a model is never run.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from imagerag.agent.errors import BackendError, SpecError, UsageError
from imagerag.agent.regular_files import read_regular_text
from imagerag.tools.embedders.weights import file_digest, snapshot

Kind = Literal["towers", "qwen3-vl"]

KINDS: Final[Mapping[str, Kind]] = {
    "clip": "towers", "metaclip_2": "towers", "siglip": "towers", "siglip2": "towers", "qwen3_vl": "qwen3-vl",
}  # fmt: skip
"""`model_type` of a configuration → how its model encodes."""

_REPOSITORY: Final = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(?:@[\w.-]+)?")
_SMALL_FILES: Final = ("*.json", "*.txt", "*.jinja", "*.model")
"""Of a repository: configuration and tokenizer."""
_WEIGHTS: Final = "*.safetensors"
_CONVERSES: Final = re.compile(r"instruct|thinking|reranker", re.I)
"""In the names of Qwen3-VL models whose vectors were trained for no search."""


@dataclass(frozen=True)
class Source:
    """A model of transformers, resolved but not loaded.

    Attributes:
        name: `ORG/NAME`, or the directory.
        commit: of the repository; empty for a directory.
        folder: the files of configuration and tokenizer.
        model_type: of its configuration.
    """

    name: str
    commit: str
    folder: Path
    model_type: str

    @property
    def kind(self) -> Kind:
        """How the model encodes."""
        return KINDS[self.model_type]

    @property
    def spec(self) -> str:
        """The canonical model part of its backend spec."""
        return f"{self.name}@{self.commit}" if self.commit else str(self.folder)

    @property
    def model(self) -> str:
        """Its name in an identity: a directory's is that of its architecture."""
        return f"transformers {self.name if self.commit else self.model_type}"

    @property
    def weights(self) -> str:
        """The commit, or `sha256:…` of a directory's weight files."""
        return self.commit or f"sha256:{_digest(self.folder)}"

    def fetch(self) -> Path:
        """The folder with the weights too, downloaded if necessary.

        Raises:
            BackendError: they cannot be downloaded, or there are none in the safetensors format.
        """
        files = (*_SMALL_FILES, _WEIGHTS)
        folder = snapshot("transformers", self.name, self.commit, files) if self.commit else self.folder
        if not any(folder.glob(_WEIGHTS)):
            raise BackendError(f"transformers:{self.spec} has no weights ({_WEIGHTS})", retryable=False)
        return folder


def find(model: str) -> Source:
    """Resolve a repository of the hub, with its configuration and tokenizer, or a directory.

    The commit becomes part of the spec, so that a library's encoder stays the same when the repository changes.

    Raises:
        SpecError: neither a directory nor of the form `ORG/NAME[@REVISION]`, or a model that cannot be an encoder here.
        UsageError: a directory without a configuration.
        BackendError: the configuration cannot be downloaded.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        folder, name, commit = path.resolve(), str(path.resolve()), ""
    elif model.startswith(("/", ".", "~")):
        raise UsageError(f"transformers:{model}: there is no such directory")
    elif not _REPOSITORY.fullmatch(model):
        raise SpecError(f"transformers:{model} is no directory and no repository: transformers:ORG/NAME[@REVISION]")
    else:
        name, _, revision = model.partition("@")
        folder = snapshot("transformers", name, revision or None, _SMALL_FILES)
        commit = folder.name
    return Source(name, commit, folder, _checked_type(folder, name))


def _checked_type(folder: Path, name: str) -> str:
    """The `model_type` of a folder's configuration.

    Raises:
        UsageError: it has no readable configuration.
        SpecError: it needs code of its own, or is no encoder of a known kind.
    """
    try:
        config = json.loads(read_regular_text(folder / "config.json"))
        model_type = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"transformers:{name} has no config.json that names a model_type") from error
    if (folder / "adapter_config.json").is_file():
        raise SpecError(f"transformers:{name} is an adapter, which names weights elsewhere: merge it into its model")
    if model_type not in KINDS:
        if isinstance(config.get("auto_map"), dict):
            raise SpecError(
                f"transformers:{name} needs code of its own repository ({str(model_type)[:40]}), which is never run "
                f"here. A server that runs it is named as openai:{Path(name).name}?images=clip@http://HOST:PORT/v1"
            )
        types = ", ".join(sorted(KINDS))
        raise SpecError(f"transformers:{name} is of type {str(model_type)[:40]!r}; encoders are: {types}")
    if KINDS[model_type] == "qwen3-vl" and _CONVERSES.search(Path(name).name):
        raise SpecError(f"transformers:{name} was not trained to encode: take Qwen/Qwen3-VL-Embedding-2B, or -8B")
    return str(model_type)


def _digest(folder: Path) -> str:
    """SHA-256 of the only weight file, or of the names and digests of several."""
    files = sorted(folder.glob(_WEIGHTS))
    if not files:
        raise BackendError(f"transformers:{folder} has no weights ({_WEIGHTS})", retryable=False)
    digests = [file_digest(file, file.stat().st_mtime_ns) for file in files]
    return digests[0] if len(files) == 1 else _digest_of(tuple(zip((f.name for f in files), digests, strict=True)))


@lru_cache(maxsize=32)
def _digest_of(files: tuple[tuple[str, str], ...]) -> str:
    return sha256("\n".join(f"{digest}  {name}" for name, digest in files).encode()).hexdigest()
