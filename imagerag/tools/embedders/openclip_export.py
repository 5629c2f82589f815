"""Export of open_clip models to ONNX, once for each weight file.

An export is kept in a folder named by all that its numbers depend on, with the digests of its files: one that was
changed or cut is made anew. It is written beside, checked against torch, and renamed, so other processes see all of it
or nothing.
"""

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from imagerag.agent.environment import environment_value
from imagerag.agent.errors import BackendError, first_line
from imagerag.agent.extras import import_extra, require_extra
from imagerag.tools.embedders import weights
from imagerag.tools.embedders.openclip_model import LoadedModel, encode_trimmed, load_model, normalized, trimmed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

OnnxPrecision = Literal["fp32", "int8"]

EXTRA: Final = "onnx"
TOWERS: Final = ("image", "text")
_NEEDED: Final = ("onnxruntime", "onnx", "onnxscript")
_LOG: Final = logging.getLogger(__name__)
_FORMAT: Final = 1
"""Of an export; another number exports anew."""
_FACTS: Final = "export.json"
_EXACT: Final = 1e-4
"""Maximum difference of a number of a vector in 32 bits from torch's: the same encoder for a library."""
_LEAST_COSINE: Final = 0.95
"""Of a vector in 8 bits with torch's; below, the model cannot be quantised like this."""
_ADVICE: Final = "leave out runtime=onnx"
_EXAMPLES: Final = 4
_IN_FILE: Final = 2**30
"""Bytes of weights that one ONNX file can hold with what else is in it; its format ends at twice that."""


@dataclass(frozen=True)
class Export:
    """What is noted about an export.

    Attributes:
        scale: the factor of cosines in the loss that the model was trained with.
        trims: whether texts may be shorter than the context.
        cosine: the lowest of a vector with torch's, over the examples that it was checked with.
        files: name → SHA-256.
    """

    scale: float
    trims: bool
    cosine: float
    files: dict[str, str]


def require_onnx(spec: str) -> None:
    """Check that all that exports and runs a model is installed.

    Raises:
        MissingExtraError: a package is not.
    """
    for module in _NEEDED:
        require_extra(module, spec, EXTRA)


def export_folder() -> Path:
    """Where exports are kept: in IMAGERAG_HOME where that is set, else in the platform's cache folder."""
    if home := environment_value("IMAGERAG_HOME"):
        return Path(home).expanduser().absolute() / "onnx"
    from platformdirs import user_cache_path

    return user_cache_path("imagerag", appauthor=False) / "onnx"


def exported(source: weights.Source, precision: OnnxPrecision, tokens: Any) -> tuple[Path, Export]:
    """The folder of a model's export, which is made if there is none.

    Args:
        tokens: of some texts, to export and check the text tower with.

    Raises:
        MissingExtraError: a package of the extra is not installed.
        BackendError: the model cannot be exported, or its vectors differ from torch's.
    """
    require_onnx(f"open_clip:{source.spec}?runtime=onnx")
    folder = export_folder() / _name(source, precision)
    return folder, _read(folder) or _make_export(source, precision, tokens, folder)


def _name(source: weights.Source, precision: OnnxPrecision) -> str:
    file = weights.fetch(source)
    depends_on = [
        _FORMAT, weights.file_digest(file, file.stat().st_mtime_ns), source.model_config, source.quick_gelu, precision,
        *(version(package) for package in ("torch", "open_clip_torch", *_NEEDED)),
    ]  # fmt: skip
    return sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:32]


def _read(folder: Path) -> Export | None:
    """What is noted about an export; None if there is none, or a file of it was changed."""
    try:
        facts = Export(**json.loads((folder / _FACTS).read_text(encoding="utf-8")))
        return facts if facts.files == _digests(folder) else None
    except (OSError, ValueError, TypeError):
        return None


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.iterdir() if path.name != _FACTS)
    return {path.name: weights.file_digest(path, path.stat().st_mtime_ns) for path in files}


def _make_export(source: weights.Source, precision: OnnxPrecision, tokens: Any, folder: Path) -> Export:
    _LOG.info("exporting %s to ONNX in %s, once", source.spec, precision)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    except OSError as error:
        raise BackendError(f"{folder} cannot be written ({first_line(error)})", retryable=False) from error
    try:
        facts = _write_towers(source, precision, tokens, scratch)
        (scratch / _FACTS).write_text(json.dumps(asdict(facts), indent=1), encoding="utf-8")
        return _move_into_place(scratch, folder, facts)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _move_into_place(scratch: Path, folder: Path, facts: Export) -> Export:
    """Give an export its name; if another process made one meanwhile, that stays."""
    if (there := _read(folder)) is not None:
        return there
    shutil.rmtree(folder, ignore_errors=True)  # damaged
    try:
        scratch.rename(folder)
    except OSError as error:
        if (there := _read(folder)) is None:
            raise BackendError(f"{folder} cannot be written ({first_line(error)})", retryable=False) from error
        return there
    return facts


def _write_towers(source: weights.Source, precision: OnnxPrecision, tokens: Any, folder: Path) -> Export:
    """Write both towers into a folder; see `_write_tower`."""
    import torch

    loaded = load_model(source, "fp32", "cpu")
    size = source.preprocess["size"]
    height, width = (size, size) if isinstance(size, int) else tuple(size)[-2:]
    pixels = torch.randn(_EXAMPLES, 3, height, width, generator=torch.Generator().manual_seed(0))
    short = trimmed(tokens[tokens.argmax(dim=-1).argsort()[:2]]) if loaded.trims else tokens
    lowest = min(
        _write_tower(loaded, folder / "image.onnx", pixels, [pixels], precision, None),
        _write_tower(
            loaded, folder / "text.onnx", short, [tokens, short], precision,
            source.context_length if loaded.trims else None,
        ),
    )  # fmt: skip
    return Export(loaded.scale, loaded.trims, lowest, _digests(folder))


def _write_tower(
    loaded: LoadedModel, file: Path, example: Any, checks: Sequence[Any], precision: OnnxPrecision, longest: int | None
) -> float:
    """Export a tower, quantise it, and compare its vectors with torch's; returns their lowest cosine.

    Args:
        checks: inputs that are compared.
        longest: tokens of the longest text, where texts may be shorter.

    Raises:
        BackendError: it cannot be exported, or its vectors differ.
    """
    import numpy as np
    import torch

    encode, lowest = _tower(loaded, file.stem), 1.0
    try:
        if precision == "fp32":
            _export(encode, example, file, longest)
        else:
            with tempfile.TemporaryDirectory(dir=file.parent) as place:
                _export(encode, example, Path(place) / file.name, longest)
                _quantise(Path(place) / file.name, file)
        outputs = [_vectors(file, inputs, alone=precision == "int8") for inputs in checks]
    except Exception as error:
        message = f"the {file.stem} tower cannot be exported to ONNX ({type(error).__name__}: {first_line(error)})"
        raise BackendError(f"{message}: {_ADVICE}", retryable=False) from error
    for vectors, inputs in zip(outputs, checks, strict=True):
        with torch.inference_mode():
            expected = normalized(encode(inputs))
        cosine, difference = float((vectors * expected).sum(axis=1).min()), float(np.abs(vectors - expected).max())
        if cosine < _LEAST_COSINE or (precision == "fp32" and difference > _EXACT):
            message = f"the {file.stem} tower has other vectors in {precision} (cosine {cosine:.4f} with torch's)"
            raise BackendError(f"{message}: {_ADVICE}", retryable=False)
        lowest = min(lowest, cosine)
    return lowest


def _tower(loaded: LoadedModel, name: str) -> Any:
    """A tower as a module of one argument."""
    import torch

    class Tower(torch.nn.Module):
        def __init__(self, encode: Callable[[Any], Any]) -> None:
            super().__init__()
            self.model, self.encode = loaded.model, encode

        def forward(self, inputs: Any) -> Any:
            return self.encode(inputs)

    model = loaded.model
    if name == "image":
        return Tower(model.encode_image).eval()
    if loaded.trims:
        return Tower(lambda tokens: encode_trimmed(model, tokens, torch.float32)).eval()
    return Tower(model.encode_text).eval()


def _export(tower: Any, example: Any, file: Path, longest: int | None) -> None:
    """Write a tower for any number of inputs and, up to `longest`, any number of tokens."""
    import torch

    shape: dict[int, Any] = {0: torch.export.Dim("inputs", min=1, max=4096)}
    if longest:
        shape[1] = torch.export.Dim("tokens", min=2, max=longest - 1)  # the whole length too: it is checked
    size = sum(parameter.numel() * parameter.element_size() for parameter in tower.parameters())
    torch.onnx.export(
        tower, (example,), str(file), input_names=["input"], output_names=["vectors"], dynamo=True, verbose=False,
        dynamic_shapes=(shape,), external_data=size > _IN_FILE,
    )  # fmt: skip


def _quantise(whole: Path, file: Path) -> None:
    """Write a tower with its matrices in 8 bits.

    Seven of the eight are used: processors without VNNI add two products in 16 bits, which would overflow.
    """
    quantization = import_extra("onnxruntime.quantization", "precision=int8", EXTRA)
    large = sum(part.stat().st_size for part in whole.parent.iterdir()) > _IN_FILE
    with _unadvised():
        quantization.quantize_dynamic(
            str(whole), str(file), op_types_to_quantize=["MatMul", "Gemm"], per_channel=True, reduce_range=True,
            weight_type=quantization.QuantType.QInt8, use_external_data_format=large,
        )  # fmt: skip


@contextmanager
def _unadvised() -> Iterator[None]:
    """Hide the advice that ONNX Runtime logs for models that it did not prepare itself."""
    root = logging.getLogger()

    def is_other(record: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in record.getMessage()

    root.addFilter(is_other)
    try:
        yield
    finally:
        root.removeFilter(is_other)


def _vectors(file: Path, example: Any, *, alone: bool) -> "Vectors":
    import numpy as np
    import torch

    runtime = import_extra("onnxruntime", "runtime=onnx", EXTRA)
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    parts = np.array_split(example.numpy(), len(example)) if alone else [example.numpy()]
    return normalized(torch.from_numpy(np.concatenate([session.run(None, {"input": part})[0] for part in parts])))
