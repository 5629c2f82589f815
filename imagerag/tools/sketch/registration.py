"""Factories of the sketch world for `tools/built_in_providers.py`, which names this module; no adapter imports it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from imagerag.agent.ports import Describer, Embedder, ImageGenerator, Judge
from imagerag.tools.registry import make_embedder
from imagerag.tools.spec import BackendSpec

SKETCH_CLIP: Final = Path(__file__).parent / "clip"


def sketch_embedder(spec: BackendSpec) -> Embedder:
    """`sketch`: the small CLIP that is part of the package."""
    from imagerag.tools.sketch.embedder import SketchEmbedder

    spec.refuse_model()
    return SketchEmbedder(f"local-dir:{SKETCH_CLIP}", spec="sketch")


def sketch_generator(spec: BackendSpec) -> ImageGenerator:
    """`sketch`: the generator of sketch drawings."""
    from imagerag.tools.sketch.generator import SketchGenerator

    spec.refuse_model()
    return SketchGenerator()


def sketch_judge(spec: BackendSpec, *, embedder: Embedder | None = None) -> Judge:
    """`sketch`: the CLIP judge on the sketch CLIP; `embedder` is ignored, because no other knows the sketch world."""
    from imagerag.tools.sketch.judge import sketch_clip_judge

    spec.refuse_model()
    is_sketch = embedder is not None and embedder.identity.spec == "sketch"
    return sketch_clip_judge(embedder if is_sketch and embedder else make_embedder("sketch"))


def sketch_describer(spec: BackendSpec) -> Describer:
    """`sketch`: names the thing of the sketch world that a drawing resembles most."""
    from imagerag.tools.sketch.describer import SketchDescriber

    spec.refuse_model()
    return SketchDescriber(make_embedder("sketch"))


def synonyms() -> Mapping[str, str]:
    """Synonyms of the sketch world's words: `circular` for circle, `violet` for purple, `rund` and `rond`."""
    from imagerag.tools.sketch.text_parser import meanings
    from imagerag.tools.sketch.translations import translations

    return {**translations(), **meanings()}
