"""Factories of the built-in providers' backends from their specs, named by `registry.py`."""

from collections.abc import Mapping
from typing import Final

from imagerag.agent.errors import SpecError
from imagerag.agent.port_validation import check_embeds_images
from imagerag.agent.ports import Embedder, Judge
from imagerag.tools.embedders.default_encoder import DEFAULT_MODEL
from imagerag.tools.embedders.full_spec import full_spec
from imagerag.tools.embedders.openclip import OpenClipEmbedder
from imagerag.tools.embedders.openclip_export import require_onnx
from imagerag.tools.judges.clip.judge import ClipJudge
from imagerag.tools.pricing.price_table import Prices
from imagerag.tools.registry import judge_of_encoder, make_embedder, make_judge
from imagerag.tools.spec import BackendSpec, with_options
from imagerag.tools.spec_options import Choice, Reader

OPEN_CLIP_OPTIONS: Final[Mapping[str, Reader]] = {
    "precision": Choice("auto", "fp32", "bf16", "int8"),
    "runtime": Choice("torch", "onnx"),
}
"""Options of a spec, after `?`."""


def open_clip_embedder(spec: BackendSpec) -> Embedder:
    """`open_clip:NAME/TAG`, `…:NAME/FILE`, `…:NAME/TAG=FILE`, `…:local-dir:DIR`, `…:hf-hub:ORG/NAME`.

    Raises:
        SpecError: an address, or an invalid option; valid ones are in `OPEN_CLIP_OPTIONS`.
        MissingExtraError: `runtime=onnx` and ONNX Runtime is not installed.
    """
    options = spec.settings(OPEN_CLIP_OPTIONS)
    if spec.base_url:
        raise SpecError(f"{str(spec)!r}: {spec.provider!r} runs here and takes no address")
    if options.get("runtime") == "onnx":
        require_onnx(str(spec))
    return OpenClipEmbedder(spec.model or DEFAULT_MODEL, **options)


def clip_judge(spec: BackendSpec, *, embedder: Embedder | None = None) -> Judge:
    """`clip` (uses `embedder`), `clip:NAME/TAG` and `clip:PROVIDER:MODEL` (use an embedder of their own).

    Options are those of that embedder. If the encoder has a judge of its own, that judge is made instead.
    """
    if spec.model and not spec.base_url:
        embedder = make_embedder(with_options(full_spec(spec.model), dict(spec.options)))
    else:
        spec.refuse_address()
    embedder = embedder or make_embedder("open_clip")
    check_embeds_images(embedder)
    if judge := judge_of_encoder(embedder.identity.spec):
        return make_judge(judge, embedder=embedder)
    return ClipJudge(embedder)


def openai_judge(spec: BackendSpec, *, embedder: Embedder | None = None, prices: Prices | None = None) -> Judge:
    """`openai:MODEL[?OPTIONS][@URL]`: a vision-language model behind any server that speaks the protocol."""
    from imagerag.tools.judges.vlm.spec import vlm_judge

    return vlm_judge(spec, prices=prices)
