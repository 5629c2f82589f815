"""Settings: argument > environment > `imagerag.toml` > default.

The file in the current folder may be anybody's: until the user trusts it (`imagerag trust`), it sets little
(`trust_policy.py`).

Own code, not `pydantic-settings`: that keeps no record of the place a value came from, reads a file before it is known
whether it may count, and takes 30 ms to import, for which every command would wait.

A preset names a generator, a judge, an embedder and a library that belong together; each can be set on its own too.
"""

import logging
import tomllib
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from imagerag.agent.environment import environment_value
from imagerag.agent.errors import FilterError, UsageError
from imagerag.agent.types import BUILT_IN_LIBRARY, parse_size
from imagerag.agent.types.filters import FilterExpression, FilterInput, parse_filter
from imagerag.agent.url_redaction import Spec
from imagerag.formatting.messages import invalid, unknown
from imagerag.graphs.configuration.env_file import load_env_file
from imagerag.graphs.configuration.trust_policy import ignored_settings
from imagerag.store.trust_store import is_trusted_file
from imagerag.tools.embedders.default_encoder import DEFAULT_ENCODER

FILE: Final = "imagerag.toml"
PREFIX: Final = "IMAGERAG_"
LONGEST_FILE: Final = 1 << 16
"""Bytes."""

_LOG: Final = logging.getLogger(__name__)

PRESETS: Final[Mapping[str, Mapping[str, str]]] = {
    "sketch": {"generator": "sketch", "judge": "sketch", "embedder": "sketch", "library": BUILT_IN_LIBRARY},
    "openai": {
        "generator": "openai:gpt-image-2.5-flare",
        "judge": "openai:gpt-5.6-terra",
        "embedder": DEFAULT_ENCODER,
    },
    "local": {
        "generator": "diffusers:flux2-klein",
        "judge": "transformers:Qwen/Qwen3-VL-4B-Instruct",
        "embedder": DEFAULT_ENCODER,
    },
}
"""`sketch` is embedded: offline, no key, a toy world with real parts. `openai` costs money. `local` fetches weights
once, needs the extras `diffusers` and `transformers`, and wants a GPU."""

KEY: Final = "OPENAI_API_KEY"
_ENVIRONMENT: Final = "environment"
"""The layer of variables, and the origin of settings from there."""

AUTO: Final = "auto"
"""As a judge or an answerer: the first whose key is set or whose local server answers (`tools/automatic.py`)."""


class Settings(BaseModel):
    """Resolved settings.

    Attributes:
        home: folder for libraries, images and runs; None is IMAGERAG_HOME or the platform's data folder.
        preset: the bundle that fills what is not set.
        generator: backend spec, `provider:model[@base_url]`.
        judge: backend spec, or `auto`, the first that is there.
        answerer: backend spec, or `auto`; None is the judge, or `metadata` where that cannot answer.
        embedder: encoder spec for libraries that are made new; one that exists knows its own.
        library: the library references come from.
        reranker: what puts candidates that passed into another order; None leaves them by similarity.
        references_per_concept: references taken for each missing concept at most, where a run does not say.
        size: size of images, where a run does not say: "WxH", "16:9", "2K" or "16:9@2K".
        filter: the filter of runs, questions and searches that have none of their own.
        source: where the preset came from, to be said aloud.
        origins: where each setting that has a value came from, by its name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: str | None = None
    preset: str
    generator: Spec
    judge: Spec
    answerer: Spec | None = None
    embedder: Spec
    library: Spec | None = None
    reranker: Spec | None = None
    references_per_concept: int = Field(default=1, ge=1, le=16, strict=True)
    size: str | None = None
    filter: str | None = None
    source: str = "default"
    origins: Mapping[str, str] = Field(default_factory=dict)

    def where(self, filter: FilterInput | None) -> FilterExpression | None:
        """The filter of a run, a question or a search: what it says itself, else what is set. Empty text is none.

        Raises:
            FilterError: it cannot be read.
        """
        if filter is not None:
            return parse_filter(filter)
        try:
            return parse_filter(self.filter)
        except FilterError as error:
            where = _written_at(self.origins.get("filter", FILE), "filter")
            raise FilterError(f"{where}: {error}") from None

    @field_validator("size")
    @classmethod
    def _is_size(cls, size: str | None) -> str | None:
        parse_size(size)
        return size

    @cached_property
    def with_backends(self) -> "Settings":
        """The settings with `auto` replaced by the backends that are there, which are looked for once.

        Raises:
            SpecError: there is none.
        """
        specs = {"judge": self.judge, "answerer": self.answerer}
        if not any(spec and AUTO in spec.lower() for spec in specs.values()):
            return self
        from imagerag.store.data_dir import DataDir
        from imagerag.tools.automatic import expanded
        from imagerag.tools.pricing.price_table import Prices

        prices = Prices.load(DataDir.find(self.home).root)
        judge = expanded("judge", self.judge, prices)
        answerer = expanded("answerer", self.answerer, prices) if self.answerer else None
        return self.model_copy(update={"judge": judge, "answerer": answerer})

    @property
    def specs(self) -> tuple[str, ...]:
        """The specs: each was named by the user himself, or is one that any file may name."""
        specs = (self.generator, self.judge, self.answerer, self.embedder, self.reranker)
        return tuple(spec for spec in specs if spec)


def resolve(**arguments: str | None) -> Settings:
    """Settings from every place they can come from.

    Args:
        arguments: values given in the call, by field name; None means not given.

    Raises:
        UsageError: an unknown preset or setting, or a file that is not TOML.
    """
    load_env_file()
    for name, value in arguments.items():
        if name == "home" and not isinstance(value, str | None):
            raise UsageError(f"home: it has to be text or a path, not {value!r:.40}")
        if not isinstance(value, str | None):
            raise UsageError(
                f"{name} has to be a text, the name of a backend or a library, not {type(value).__name__}. For an "
                f"object of your own: rag.dependencies.use({name!r}, 'mine', it), and ImageRAG({name}='mine')"
            )
    layers: list[tuple[str, Mapping[str, Any]]] = [
        ("argument", {name: _parsed(name, value) for name, value in arguments.items() if value is not None}),
        (_ENVIRONMENT, _environment()),
        (FILE, _file()),
    ]
    values: dict[str, Any] = {}
    for _, layer in reversed(layers):
        values |= layer
    keyed = environment_value(KEY) is not None
    preset = values.get("preset", "openai" if keyed else "sketch")
    default = f"default: {KEY} is set" if keyed else f"default: {KEY} is not set"
    source = next((name for name, layer in layers if "preset" in layer), default)
    if preset not in PRESETS:
        raise UsageError(unknown("preset", str(preset), PRESETS, where=_written_at(source, "preset")))
    try:
        fields = {"preset": preset, "source": source, "origins": _origins(layers, preset)}
        return Settings(**{**PRESETS[preset], **values, **fields})
    except ValidationError as error:
        raise UsageError(_wrong(error, layers)) from error


def _wrong(error: ValidationError, layers: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Problem of the first invalid setting, with the place it was written."""
    name = str(error.errors()[0]["loc"][0])
    where = next((source for source, layer in layers if name in layer), FILE)
    if name not in _names():
        return unknown("setting", name, _names(), where=where)
    at = _written_at(where, name)
    problem = invalid(error, most=1)
    return f"{at}: {problem if at == FILE else problem.removeprefix(f'{name}: ')}"


def _written_at(source: str, name: str) -> str:
    """Where a setting is written, for errors: its variable, or what a layer is called."""
    return variable_of(name) if source == _ENVIRONMENT else "" if source.startswith("default") else source


def _names() -> list[str]:
    return [name for name in Settings.model_fields if name not in ("source", "origins")]


def _origins(layers: Sequence[tuple[str, Mapping[str, Any]]], preset: str) -> dict[str, str]:
    """Origin of each setting: the first layer that has it, else the preset; the preset itself has a default."""
    origins = {"preset": "default", **dict.fromkeys(PRESETS[preset], f"preset {preset}")}
    for source, layer in reversed(layers):
        origins |= dict.fromkeys((name for name in layer if name in _names()), source)
    return origins


def _environment() -> dict[str, str | int]:
    values = {name: environment_value(variable_of(name)) for name in _names()}
    return {name: _parsed(name, value) for name, value in values.items() if value}


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def _parsed(name: str, text: str) -> str | int:
    """The value of a setting that was written as text: where it is a whole number, that; other text is its error."""
    try:
        return int(text) if Settings.model_fields[name].annotation is int else text
    except (ValueError, KeyError):
        return text


def _file() -> dict[str, Any]:
    """The settings of the file in the current folder: where the user did not trust it, the harmless ones alone."""
    path = Path(FILE)
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        content = file.read(LONGEST_FILE)
    settings = read_settings(path, content)
    ignored = [] if is_trusted_file(path, content) else ignored_settings(settings)
    if ignored:
        _warn_once(str(path.resolve()), content, tuple(ignored))
    return {name: value for name, value in settings.items() if name not in ignored}


def read_settings(path: Path, content: bytes) -> dict[str, Any]:
    """Values of a settings file.

    Raises:
        UsageError: it is not TOML, or too long.
    """
    if len(content) >= LONGEST_FILE:
        raise UsageError(f"{path} is too long for a file of settings")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error


@lru_cache(maxsize=64)
def _warn_once(path: str, content: bytes, ignored: tuple[str, ...]) -> None:
    """Say what does not count, once for the same file."""
    _LOG.warning("%s is not trusted (yours? imagerag trust): no %s", FILE, ", ".join(ignored))
