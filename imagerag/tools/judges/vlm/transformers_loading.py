"""Load vision-language models of transformers: each once per process, without remote code."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import BackendError, MissingExtraError, SpecError, first_line
from imagerag.agent.extras import import_extra, require_extra
from imagerag.tools.credentials import check_hub
from imagerag.tools.generators.diffusers.devices import (
    choose_device,
    choose_dtype,
    is_out_of_memory,
    out_of_memory,
    quiet,
)
from imagerag.tools.huggingface_hub import hub

if TYPE_CHECKING:
    from imagerag.tools.spec import BackendSpec

SAFE: Final[Mapping[str, Any]] = {"trust_remote_code": False}
"""Never run code from a model's folder; if this is left out, transformers asks on the terminal."""

SMALLER: Final = "take a smaller model, set dtype=bfloat16, or longest_side=512 for smaller images"

_LOADED: Final[dict[tuple[str, str | None, str | None], "LoadedModel"]] = {}
_LOCK: Final = Lock()


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory with its processor."""

    model: Any
    processor: Any


def check_local(spec: "BackendSpec", *, example: str = "ORG/NAME", server: str = "openai:MODEL@URL") -> None:
    """Check a spec of a model of transformers in this process.

    Args:
        example: a model to name.
        server: the spec of a model behind a server.

    Raises:
        SpecError: no model, or an address.
        MissingExtraError: transformers is not installed.
    """
    if not spec.model:
        raise SpecError(f"{str(spec)!r} names no model: write {spec.provider}:{example} or {spec.provider}:/DIR")
    if spec.base_url:
        raise SpecError(f"{str(spec)!r}: {spec.provider} runs here; a server is {server}")
    require_extra("transformers", str(spec), "transformers")


def load(model: str, device: str | None, dtype: str | None) -> LoadedModel:
    """Load a model and its processor, once per process.

    Raises:
        MissingExtraError: a package that it needs is not installed.
        BackendError: it cannot be loaded, or memory is exhausted.
    """
    key = (model, device, dtype)
    with _LOCK:
        if key not in _LOADED:
            _LOADED[key] = _load(model, device, dtype)
        return _LOADED[key]


def unload() -> None:
    """Release all models that judges of this process loaded, and their memory."""
    import gc

    with _LOCK:
        _LOADED.clear()
    gc.collect()


def _load(model: str, device: str | None, dtype: str | None) -> LoadedModel:
    path = str(Path(model).expanduser())
    with loading(model) as transformers, hub(path):
        check_attention(transformers, path)
        processor = transformers.AutoProcessor.from_pretrained(path, **SAFE)
    return LoadedModel(load_weights(model, "AutoModelForImageTextToText", device, dtype), processor)


def load_weights(model: str, auto_class: str, device: str | None, dtype: str | None, **options: Any) -> Any:
    """Load a model on its device, without its processor.

    Args:
        auto_class: of transformers, such as `AutoModel`.
        options: further arguments of `from_pretrained`.

    Raises:
        MissingExtraError, UsageError, BackendError: as `loading` and `choose_device`.
    """
    place = choose_device(device, "transformers")
    numbers, path = choose_dtype(dtype, place), str(Path(model).expanduser())
    with loading(model) as transformers, hub(path):
        check_attention(transformers, path)
        network, report = getattr(transformers, auto_class).from_pretrained(
            path, dtype=numbers, output_loading_info=True, **options, **SAFE
        )
        if absent := sorted(report["missing_keys"]):  # which transformers fills with random numbers
            message = f"transformers:{model} lacks weights of its own model: {', '.join(absent)[:200]}"
            raise BackendError(message, retryable=False)
        return network.to(place).eval()


@contextmanager
def loading(model: str) -> Iterator[Any]:
    """Context with the module transformers, in which parts of a model are read.

    Raises:
        MissingExtraError: a package that the model needs is not installed.
        BackendError: it cannot be read, or memory is exhausted.
    """
    transformers = import_extra("transformers", f"transformers:{model}", "transformers")
    try:
        check_hub(f"transformers:{model}")
        with quiet("transformers"):
            yield transformers
    except BackendError:
        raise
    except ImportError as error:
        raise MissingExtraError(f"the model {model} ({first_line(error)})", "transformers") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise out_of_memory(f"loading {model}", SMALLER) from error
        raise BackendError(
            f"transformers:{model} could not be loaded ({type(error).__name__}: {first_line(error)}). Fetch it where "
            f"there is a network (hf download {model}), or name a directory that has it: transformers:/DIR",
            retryable=False,
        ) from error


def check_attention(transformers: Any, path: str) -> None:
    """Check that a model's configuration names no kernels, which are code downloaded from a hub.

    Raises:
        BackendError: it names one.
    """
    config, _ = transformers.PreTrainedConfig.get_config_dict(path)
    tables = [config, *(value for value in config.values() if isinstance(value, dict))]
    for table in tables:
        for name in ("attn_implementation", "_attn_implementation", "_attn_implementation_internal"):
            if "/" in str(table.get(name) or ""):
                message = f"{path} names kernels of a hub ({str(table[name])[:60]}), which are code: no model may"
                raise BackendError(message, retryable=False)
