"""An open_clip model through ONNX Runtime, which can be faster than torch on a CPU, most of all in 8 bits.

In 8 bits ("int8"), each input is encoded alone: activations are scaled by their largest number, so in a batch, the
vector of an input would depend on the others.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from imagerag.agent.extras import import_extra
from imagerag.tools.embedders import weights
from imagerag.tools.embedders.openclip_export import EXTRA, TOWERS, OnnxPrecision, exported
from imagerag.tools.embedders.openclip_model import available_threads, normalized, trimmed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class OnnxModel:
    """A model in memory.

    Attributes:
        image: session of the image tower.
        text: session of the text tower.
        scale: the factor of cosines in the loss that it was trained with.
        alone: whether each input is encoded alone.
        trims: whether texts may be shorter than the context.
    """

    image: Any
    text: Any
    scale: float
    alone: bool
    trims: bool

    def images(self, images: Any) -> "Vectors":
        """Preprocessed images [n, 3, height, width] as float32 rows of norm 1."""
        return _rows(self.image, [part.numpy() for part in self._parts(images)])

    def texts(self, tokens: Any) -> "Vectors":
        """Tokens [n, context] as float32 rows of norm 1."""
        parts = self._parts(tokens)
        return _rows(self.text, [(trimmed(part) if self.trims else part).numpy() for part in parts])

    def _parts(self, inputs: Any) -> Sequence[Any]:
        count = len(inputs) if self.alone else min(len(inputs), available_threads())
        parts: Sequence[Any] = inputs.tensor_split(count)
        return parts


def load_onnx(source: weights.Source, precision: OnnxPrecision, tokens: Any) -> OnnxModel:
    """Load a model, exported first if it never was.

    Args:
        tokens: of some texts, to export and check the text tower with.

    Raises:
        MissingExtraError: a package of the extra is not installed.
        BackendError: it cannot be exported, or its vectors differ from torch's.
    """
    runtime = import_extra("onnxruntime", f"open_clip:{source.spec}?runtime=onnx", EXTRA)
    folder, facts = exported(source, precision, tokens)
    image, text = (session(runtime, str(folder / f"{tower}.onnx")) for tower in TOWERS)
    return OnnxModel(image, text, facts.scale, precision == "int8", facts.trims)


def session(runtime: Any, file: str) -> Any:
    """A session that computes on the thread that calls it: parts of a batch run side by side and wait for nobody."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _rows(model: Any, parts: Sequence[Any]) -> "Vectors":
    import numpy as np
    import torch

    rows = _side_by_side().map(lambda part: model.run(None, {"input": part})[0], parts)
    return normalized(torch.from_numpy(np.concatenate([*rows])))


@cache
def _side_by_side() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(available_threads(), thread_name_prefix="imagerag-onnx")
