"""The factories of the built-in providers; `registry.py` names them."""

from pathlib import Path
from typing import Final

from imagerag.agent.errors import SpecError
from imagerag.agent.ports import Embedder, ImageGenerator, Judge
from imagerag.tools.embedders.openclip import OpenClipEmbedder
from imagerag.tools.judges.clip.judge import ClipJudge
from imagerag.tools.pricing.price_table import Prices
from imagerag.tools.registry import make_embedder
from imagerag.tools.sketch.embedder import SketchEmbedder
from imagerag.tools.spec import BackendSpec

SKETCH_CLIP: Final = Path(__file__).parent / "sketch" / "clip"
DEFAULT_OPEN_CLIP: Final = "ViT-B-32-quickgelu/openai"
"""For real photos: the encoder of the paper."""


def open_clip_embedder(spec: BackendSpec) -> Embedder:
    """`open_clip:NAME/TAG`, `open_clip:NAME/FILE`, `open_clip:NAME/TAG=FILE`, `open_clip:local-dir:DIR`."""
    _no_address(spec)
    return OpenClipEmbedder(spec.model or DEFAULT_OPEN_CLIP)


def sketch_embedder(spec: BackendSpec) -> Embedder:
    """`sketch`: the small CLIP that comes with the package."""
    _plain(spec)
    return SketchEmbedder(f"local-dir:{SKETCH_CLIP}", spec="sketch")


def sketch_generator(spec: BackendSpec) -> ImageGenerator:
    """`sketch`: the painter of the sketch world."""
    from imagerag.tools.sketch.generator import SketchGenerator

    _plain(spec)
    return SketchGenerator()


def clip_judge(spec: BackendSpec, *, embedder: Embedder | None = None) -> Judge:
    """`clip` (looks through `embedder`), `clip:NAME/TAG` and `clip:PROVIDER:MODEL` (through an embedder of its own).

    Through the sketch CLIP it is the sketch judge, whatever it was called.
    """
    _no_address(spec)
    if spec.model:
        own = spec.model if _names_a_provider(spec.model) else f"open_clip:{spec.model}"
        embedder = make_embedder(own)
    embedder = embedder or make_embedder("open_clip")
    if embedder.identity.spec == "sketch":
        return sketch_judge(BackendSpec("sketch"), embedder=embedder)
    return ClipJudge(embedder)


def sketch_judge(spec: BackendSpec, *, embedder: Embedder | None = None) -> Judge:
    """`sketch`: the clip judge on the sketch CLIP; another embedder would not know the sketch world and is ignored."""
    from imagerag.tools.sketch.judge import sketch_clip_judge

    _plain(spec)
    known = embedder is not None and embedder.identity.spec == "sketch"
    return sketch_clip_judge(embedder if known and embedder else make_embedder("sketch"))


def openai_judge(spec: BackendSpec, *, embedder: Embedder | None = None, prices: Prices | None = None) -> Judge:
    """`openai:MODEL[?OPTIONS][@URL]`: a vision-language model behind any server that speaks the protocol."""
    from imagerag.tools.judges.vlm.spec import vlm_judge

    return vlm_judge(spec, prices=prices)


def _names_a_provider(model: str) -> bool:
    from imagerag.tools.registry import providers

    return model.partition(":")[0].lower() in providers("embedder")


def _plain(spec: BackendSpec) -> None:
    spec.settings({})
    if spec.model or spec.base_url:
        raise SpecError(f"{str(spec)!r}: {spec.provider!r} has one model only: write {spec.provider!r}")


def _no_address(spec: BackendSpec) -> None:
    spec.settings({})
    if spec.base_url:
        raise SpecError(f"{str(spec)!r}: {spec.provider!r} runs here and takes no address")
