"""Words in images, read by RapidOCR: its models come inside of its package, so nothing is downloaded."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import MissingExtraError
from imagerag.agent.extras import import_extra
from imagerag.agent.ports import OcrResult

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE: Final = 1600
"""Pixels of the longer side that is read; of a photo of 12 megapixels, letters of 20 pixels are still 8."""

_STAGES: Final = ("det", "cls", "rec")
"""Where words are, which way up they stand, and what they are: a model for each."""

_WHAT, _EXTRA = "reading words in images", "ocr"


class RapidOcrReader:
    """Reads the words in images; implements `OcrReader`.

    Raises:
        MissingExtraError: the extra `ocr` is not installed.
    """

    def __init__(self) -> None:
        self._engine = _engine()

    def read(self, image: "Image") -> OcrResult:
        """The words in an RGB image."""
        import numpy as np

        image = image.copy()
        image.thumbnail((SIDE, SIDE))
        result = self._engine(np.asarray(image)[:, :, ::-1])  # it takes BGR, as OpenCV gives it
        lines = [
            (str(text).strip(), float(score))
            for text, score in zip(result.txts or (), result.scores or (), strict=True)
        ]
        lines = [(text, score) for text, score in lines if text]
        letters = sum(len(text) for text, _ in lines)
        mean = sum(len(text) * score for text, score in lines) / letters if letters else 0.0
        return OcrResult("\n".join(text for text, _ in lines), mean)


@lru_cache(maxsize=1)
def _engine() -> Any:
    module = import_extra("rapidocr", _WHAT, _EXTRA)
    import_extra("onnxruntime", _WHAT, _EXTRA)
    # Without paths it would download a model that is missing or damaged.
    models = {f"{stage.title()}.model_path": str(_model(Path(module.__file__).parent, stage)) for stage in _STAGES}
    return module.RapidOCR(params={**models, "Global.log_level": "error"})


def _model(package: Path, stage: str) -> Path:
    files = sorted((package / "models").glob(f"*_{stage}_*.onnx"))
    if not files:
        raise MissingExtraError(_WHAT, _EXTRA)
    return files[0]
