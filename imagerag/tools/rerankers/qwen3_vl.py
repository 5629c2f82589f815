"""Reranker in this process: `transformers:Qwen/Qwen3-VL-Reranker-2B`, a vision-language model that answers yes or no.

Source: Qwen3-VL-Reranker, its published code (`Qwen3VLReranker`): the score of a candidate is the probability of "yes"
against that of "no" as the next token. Checked against transformers 5.23.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.control_tokens import neutralised, without_tokens
from imagerag.agent.errors import BackendError, SpecError, first_line
from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.ports import FREE, Capabilities, Hit, ImagePart, Judge, Ranking
from imagerag.tools.embedders.qwen3_vl import patch_side, sized
from imagerag.tools.generators.diffusers.devices import DTYPES, free, is_out_of_memory, out_of_memory, worker
from imagerag.tools.generators.diffusers.weight_sources import short
from imagerag.tools.judges.vlm.tokenizer import control_tokens_of
from imagerag.tools.judges.vlm.transformers_loading import SMALLER, LoadedModel, check_local, load
from imagerag.tools.spec import with_options
from imagerag.tools.spec_options import Choice, Number, Reader

if TYPE_CHECKING:
    from imagerag.tools.spec import BackendSpec

OPTIONS: Final[Mapping[str, Reader]] = {
    "captions": bool,
    "device": str,
    "dtype": Choice(*DTYPES),
    "instruction": str,
    "longest_side": Number(int, least=64, most=8192),
    "min_score": Number(float, least=0, most=1),
}
"""Options of a spec, after `?`."""

EXAMPLE: Final = "Qwen/Qwen3-VL-Reranker-2B"
"""A model to name."""

_TASK: Final = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".'
)
_INSTRUCTION: Final = "Given a search query, retrieve relevant candidates that answer the query."
_LONGEST_SIDE: Final = 768
_MOST_PIXELS: Final = 1280 * 32 * 32


@dataclass(frozen=True, kw_only=True)
class Qwen3VLReranker:
    """Scores candidates one by one with a model in this process, loaded on first use.

    Attributes:
        model: repository id or local directory.
        captions: whether a candidate's caption, title and tags are shown with its image.
        device: "cpu", "cuda", "mps"; None takes the best there is.
        dtype: "float32", "float16" or "bfloat16"; None takes what the device computes fast.
        instruction: what makes a candidate relevant; by default the published one.
        longest_side: images are scaled down to it, in pixels.
        min_score: candidates with a lower score, in [0, 1], are left out; None leaves out none.
    """

    model: str
    captions: bool = False
    device: str | None = None
    dtype: str | None = None
    instruction: str | None = None
    longest_side: int = _LONGEST_SIDE
    min_score: float | None = None
    capabilities = Capabilities(tariff=FREE, needs_images=True, asks_model=True)

    @property
    def identity(self) -> str:
        """`transformers:MODEL`, a directory by its name, and the options that change its order."""
        side = self.longest_side if self.longest_side != _LONGEST_SIDE else None
        options = {
            "captions": self.captions or None, "dtype": self.dtype, "instruction": self.instruction,
            "longest_side": side, "min_score": self.min_score,
        }  # fmt: skip
        return with_options(f"transformers:{short(self.model)}", options)

    async def rerank(self, query: str, hits: Sequence[Hit], images: Sequence[ImagePart]) -> Ranking:
        """The hits by their scores, best first; equal scores keep the order of the search.

        Raises:
            MissingExtraError: transformers, or a package that this model needs, is not installed.
            BackendError: the weights cannot be loaded, memory is exhausted, or the model fails.
            ValueError: not as many images as hits.
        """
        if len(hits) != len(images):
            raise ValueError(f"{len(images)} images for {len(hits)} hits")
        loop = asyncio.get_running_loop()
        scores = [
            await loop.run_in_executor(worker(), self._score, query, hit, image)
            for hit, image in zip(hits, images, strict=True)
        ]
        places = [at for at, score in enumerate(scores) if self.min_score is None or score >= self.min_score]
        return Ranking(
            order=tuple(sorted(places, key=lambda at: -scores[at])),
            raw=", ".join(f"{score:.4f}" for score in scores),
            cost_usd=0.0,
        )

    def _score(self, query: str, hit: Hit, image: ImagePart) -> float:
        """P(yes) against P(no), in [0, 1]."""
        loaded, failure = load(self.model, self.device, self.dtype), None
        if loaded.model.config.model_type != "qwen3_vl":
            message = f"{self.identity} is a {loaded.model.config.model_type}: rerankers here are Qwen3-VL-Reranker"
            raise BackendError(message, retryable=False)
        try:
            return self._computed(loaded, self._messages(loaded, query, hit), image)
        except Exception as error:
            failure = self._failure(error)
        free()
        raise failure  # outside of the handler, which would keep the model's tensors alive

    def _failure(self, error: Exception) -> BackendError:
        if isinstance(error, BackendError):
            return error
        if is_out_of_memory(error):
            return out_of_memory(self.identity, SMALLER)
        message = f"{self.identity} could not score: {type(error).__name__}: {first_line(error)}"
        return BackendError(message, retryable=False)

    def _computed(self, loaded: LoadedModel, messages: list[dict[str, Any]], image: ImagePart) -> float:
        import torch

        model, processor = loaded.model, loaded.processor
        vocabulary = processor.tokenizer.get_vocab()
        if "yes" not in vocabulary or "no" not in vocabulary:
            raise BackendError(f"{self.identity} has no tokens 'yes' and 'no'", retryable=False)
        small_image = sized(
            open_rgb(image.data, side=self.longest_side), patch_side(model.config), _MOST_PIXELS, self.longest_side
        )
        text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        inputs = processor(text=[text], images=[[small_image]], do_resize=False, return_tensors="pt")
        with torch.inference_mode():
            logits = model(**inputs.to(model.device, dtype=model.dtype), logits_to_keep=1).logits[0, -1].float()
        return float(torch.sigmoid(logits[vocabulary["yes"]] - logits[vocabulary["no"]]))

    def _messages(self, loaded: LoadedModel, query: str, hit: Hit) -> list[dict[str, Any]]:
        tokens = control_tokens_of(loaded.processor)

        def plain(text: str) -> str:
            return without_tokens(neutralised(text), tokens)

        words = plain(" ".join(filter(None, (hit.caption, hit.title, *hit.tags)))) if self.captions else ""
        texts = [f"<Instruct>: {self.instruction or _INSTRUCTION}", "<Query>:", plain(query), "\n<Document>:"]
        content = [{"type": "text", "text": text} for text in texts]
        content += [{"type": "image"}, *([{"type": "text", "text": words}] if words else [])]
        return [
            {"role": "system", "content": [{"type": "text", "text": _TASK}]},
            {"role": "user", "content": content},
        ]


def transformers_reranker(spec: "BackendSpec", *, judge: Judge) -> Qwen3VLReranker:
    """`transformers:ORG/NAME` or `transformers:/DIR`, with `OPTIONS` after a `?`.

    Args:
        judge: ignored; this reranker needs none.

    Raises:
        SpecError: no model, an address, or an invalid option.
        MissingExtraError: transformers is not installed.
    """
    settings = spec.settings(OPTIONS)
    check_local(spec, example=EXAMPLE, server="http:MODEL@URL")
    if spec.model.startswith(("/", ".", "~")) and not Path(spec.model).expanduser().is_dir():
        raise SpecError(f"{str(spec)!r} names no model: write {spec.provider}:{EXAMPLE} or {spec.provider}:/DIR")
    return Qwen3VLReranker(model=spec.model, **settings)
