"""Generator on any diffusers pipeline in this process, with references in the pipeline's own form."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from threading import Event
from typing import Any, Final

from imagerag.agent.calls.call_context import current_call
from imagerag.agent.errors import SpecError, UsageError
from imagerag.agent.extras import require_extra
from imagerag.agent.ports import FREE, Capabilities, GeneratedImage, ImagePart, ReferenceTemplate
from imagerag.agent.types import SamplingParams, Size
from imagerag.agent.visible_text import is_blank
from imagerag.tools.generators.diffusers import images, weight_sources
from imagerag.tools.generators.diffusers.devices import DTYPES, Offload, worker
from imagerag.tools.generators.diffusers.families import BUILT_IN, FAMILIES
from imagerag.tools.generators.diffusers.loading import Loaded, load, ready
from imagerag.tools.generators.diffusers.pipeline_call import OnStep, StoppedError, call_pipeline
from imagerag.tools.generators.diffusers.prompt_tags import ensure_prompt_tags, truncated_tokens, without_weights
from imagerag.tools.generators.diffusers.weight_sources import Source
from imagerag.tools.prompt_templates import TEMPLATE_OPTIONS, with_template
from imagerag.tools.spec import BackendSpec, with_options
from imagerag.tools.spec_options import Choice, Number, Reader, without_none

SETTINGS: Final[Mapping[str, Reader]] = {
    "device": str,
    "dtype": Choice(*DTYPES),
    "guidance": Number(float, least=0),
    "max_references": Number(int, least=0, most=16),
    "offload": Choice("none", "model", "sequential"),
    "scale": Number(float, least=0, most=1),
    "steps": Number(int, least=1),
    "upsampler": bool,
    **TEMPLATE_OPTIONS,
}
"""Options of a spec, after `?`."""


class DiffusersGenerator:
    """Generates with a diffusers pipeline, loaded on first use and kept for the process.

    One thread of the process does all work with weights, one image after the other. A cancelled call stops at the next
    step. Sizes are rounded to what the pipeline supports, and `usage` then says so. The progress callback
    (`agent/calls/call_context.py`) gets every step.

    Args:
        model: the part after `diffusers:`, see `weight_sources.py`; settings after a `?` are those below.
        device: "cpu", "cuda", "cuda:1", "mps"; by default the best there is.
        dtype: "float32", "float16" or "bfloat16"; by default what the device computes fast.
        offload: "none", "model" or "sequential" offloading to main memory. No effect on a CPU.
        steps: denoising steps; by default the family's.
        guidance: guidance scale for the prompt; by default the family's.
        scale: weight of an IP-Adapter's image, 0 to 1.
        upsampler: whether the pipeline's own language model expands prompts; by default it does, where there is one.
        max_references: a lower limit than the family's, or a higher one if its code has no limit.
        call: more arguments of each call, for instance `{"negative_prompt": "blurry"}`.
        load: more arguments of `from_pretrained`, for instance `{"variant": "fp16"}`.
        template: prompt template for references; by default the family's.

    Raises:
        MissingExtraError: diffusers is not installed.
        SpecError: an invalid model, or an unknown setting.
        BackendError: the index of a pipeline without a row cannot be read.
        UsageError: a setting out of range.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str | None = None,
        dtype: str | None = None,
        offload: Offload = "none",
        steps: int | None = None,
        guidance: float | None = None,
        scale: float | None = None,
        upsampler: bool | None = None,
        max_references: int | None = None,
        call: Mapping[str, Any] | None = None,
        load: Mapping[str, Any] | None = None,
        template: ReferenceTemplate | None = None,
    ) -> None:
        require_extra("diffusers", f"diffusers:{model}", "diffusers")
        self._source = weight_sources.find(model)
        self._family = self._source.family
        self._device, self._dtype, self._offload = device, dtype or self._family.dtype or None, offload
        self._steps, self._guidance, self._scale, self._upsampler = steps, guidance, scale, upsampler
        self._call, self._options = dict(call or {}), dict(load or {})
        self._max_references, self._template = max_references, template
        self._check()

    @classmethod
    def from_spec(cls, spec: BackendSpec) -> "DiffusersGenerator":
        """`diffusers:FAMILY`, `diffusers:FAMILY=/DIR`, `diffusers:ORG/NAME`, `diffusers:/DIR`, each with `?settings`.

        Raises:
            SpecError: no model, an address, or an error of the constructor.
        """
        options = spec.settings(SETTINGS)
        if not spec.model:
            families = ", ".join(sorted(FAMILIES))
            raise SpecError(
                f"{str(spec)!r} names no model: write diffusers:FAMILY, one of {families}, or diffusers:/DIR"
            )
        if spec.base_url:
            raise SpecError(f"{str(spec)!r}: diffusers runs here and takes no address")
        plain = {name: value for name, value in options.items() if name not in TEMPLATE_OPTIONS}
        generator = cls(spec.model, **plain)
        generator._template = with_template(options, generator._family.template).get("template", generator._template)
        return generator

    @cached_property
    def identity(self) -> str:
        """The model, its weights if they are not the family's own, and all settings that change the image."""
        source, family = self._source, self._family
        weights = "" if source.name and source.repo == family.repo else weight_sources.short(source.repo)
        model = "=".join(part for part in (source.name, weights) if part)
        more = {"call": self._call, "load": self._options}
        digests = {name: weight_sources.digest(repr(sorted(value.items()))) for name, value in more.items() if value}
        if family.adapter is not None and source.name in BUILT_IN and family != BUILT_IN[source.name]:
            digests["adapter"] = weight_sources.short(family.adapter.repo)
        elif source.name and family != BUILT_IN.get(source.name):
            digests["row"] = weight_sources.digest(repr(family))
        dtype = None if self._dtype == family.dtype else self._dtype
        identity_options = {
            "dtype": dtype,
            "guidance": self._guidance,
            "scale": self._scale,
            "steps": self._steps,
            "upsampler": self._upsampler,
        } | digests
        return with_options(f"diffusers:{model}", dict(sorted(identity_options.items())))

    @property
    def max_references(self) -> int:
        """Maximum number of images with a prompt; 0 for a text-only pipeline."""
        return self._family.max_references if self._max_references is None else self._max_references

    @property
    def sizes(self) -> tuple[Size, ...] | None:
        """None, since it draws any size; empty for a pipeline that takes none."""
        return () if self._family.fixed_size else None

    @property
    def capabilities(self) -> Capabilities:
        """The rules of its sizes, and whether it edits an image: an adapter takes only the image's look."""
        edits = self._family.edits and self._family.adapter is None and self.max_references > 0
        return Capabilities(tariff=FREE, supports_seed=True, edits=edits, size_rules=self._family.size_rules)

    @property
    def template(self) -> ReferenceTemplate:
        """Prompt template for references."""
        return self._template or self._family.template

    def ready(self) -> str:
        """The device, and whether the weights are present; loads and downloads nothing.

        Raises:
            ImageRAGError: a directory without a pipeline, an unavailable device, or diffusers is not installed.
        """
        return ready(self._source, self._device, self._dtype)

    @property
    def _weights(self) -> Source:
        """What to load: without the upsampler, where it is not to be used."""
        upsampler = self._family.upsampler and self._upsampler is not False
        return replace(self._source, family=replace(self._family, upsampler=upsampler))

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        """Generate one image. If the family needs a reference and none is sent, it starts from a plain canvas.

        Returns:
            A PNG. `usage` has `steps`; `asked_width`, `asked_height`, `drawn_width` and `drawn_height` in pixels if the
            size was rounded; `canvas` if it started from a plain one; `unread_tokens` if the end of the prompt was
            truncated. `revised_prompt` is the prompt that the pipeline's own language model wrote.

        Raises:
            UsageError: no prompt, too many references, or one that cannot be read.
            RefusalError: the pipeline's safety checker replaced the image.
            MissingExtraError: a package that the pipeline needs is not installed.
            BackendError: the weights cannot be loaded, memory is exhausted, or the pipeline fails.
        """
        if is_blank(prompt):
            raise UsageError(f"{self.identity}: the prompt is empty; say what to draw")
        if len(references) > self.max_references:
            raise UsageError(
                f"{self.identity}: {len(references)} images were to be sent; it takes {self.max_references}"
            )
        loop, stop, watcher = asyncio.get_running_loop(), Event(), current_call().progress

        def stepped(step: int, total: int) -> None:
            if stop.is_set():
                raise StoppedError
            if step:
                loop.call_soon_threadsafe(watcher.step, step, total)

        try:
            return await loop.run_in_executor(worker(), self._draw, prompt, references, variation, size, stepped)
        finally:
            stop.set()

    def _draw(
        self,
        prompt: str,
        references: Sequence[ImagePart],
        variation: SamplingParams,
        size: Size | None,
        stepped: OnStep,
    ) -> GeneratedImage:
        family = self._family
        stepped(0, self._steps or family.steps or 0)  # cancelled while it was queued, or while weights were loaded
        loaded = load(
            self._weights, device=self._device, dtype=self._dtype, offload=self._offload, options=self._options
        )
        requested = size or family.size
        image_size = images.rounded(requested, images.side_multiple(family, loaded.pipe)) if requested else None
        images_sent = images.opened(references, family)
        blank = family.needs_reference and not images_sent
        words = without_weights(
            ensure_prompt_tags(prompt, len(images_sent), family.tag), self.template, family.tag, len(images_sent)
        )
        cut = truncated_tokens(loaded.pipe, words)
        arguments = self._arguments(loaded, words, image_size)
        self._refer(loaded, arguments, [images.canvas(image_size)] if blank else images_sent)
        drawn = call_pipeline(self.identity, loaded, arguments, variation.seed, stepped)
        image = drawn.image
        usage = {"steps": drawn.steps} | ({"canvas": 1} if blank else {}) | ({"unread_tokens": cut} if cut else {})
        if size is not None and image.size != (size.width, size.height):
            usage |= {"asked_width": size.width, "asked_height": size.height}
            usage |= {"drawn_width": image.width, "drawn_height": image.height}
        return GeneratedImage(data=images.encoded(image), revised_prompt=drawn.prompt, cost_usd=0.0, usage=usage)

    def _arguments(self, loaded: Loaded, prompt: str, size: Size | None) -> dict[str, Any]:
        family, parameters = self._family, loaded.arguments
        names = (*family.guidance, "guidance_scale", "true_cfg_scale")
        which = next((name for name in names if name in parameters), "guidance")
        unknown = set(self._call) - parameters | ({which} - parameters if self._guidance is not None else set())
        if unknown:
            raise UsageError(f"{self.identity}: {type(loaded.pipe).__name__} takes no {', '.join(sorted(unknown))}")
        arguments: dict[str, Any] = {"prompt": prompt, **family.call, **family.guidance}
        arguments |= without_none(**{which: self._guidance, "num_inference_steps": self._steps or family.steps})
        if size is not None:
            arguments |= {"height": size.height, "width": size.width, **(family.sized(size) if family.sized else {})}
        return {name: value for name, value in arguments.items() if name in parameters} | self._call

    def _refer(self, loaded: Loaded, arguments: dict[str, Any], reference_images: list[Any]) -> None:
        family = self._family
        if family.adapter is not None:
            # An adapter always needs an image: a plain one at scale 0 leaves the pipeline unchanged.
            scale = family.adapter.scale if self._scale is None else self._scale
            loaded.pipe.set_ip_adapter_scale(scale if reference_images else 0.0)
            reference_images = reference_images or [images.canvas(Size(width=224, height=224))]
        if not reference_images:
            return
        shapes = {"one": reference_images[0], "list": reference_images, "batch": [reference_images]}
        arguments[family.parameter] = shapes[family.shape]
        if family.parameter == "input_images":  # OmniGen's: one list per prompt, prompts as a list
            arguments["prompt"] = [arguments["prompt"]]

    def _check(self) -> None:
        problems = {
            "steps must be 1 or more": self._steps is not None and self._steps < 1,
            "offload must be none, model or sequential": self._offload not in ("none", "model", "sequential"),
            "it has no IP-Adapter, and so no scale": self._scale is not None and self._family.adapter is None,
            "it has no prompt upsampler": bool(self._upsampler) and not self._family.upsampler,
            "max_references must be 0 or more": (self._max_references or 0) < 0,
            "it takes no references": bool(self._max_references) and not self._family.parameter,
            f"its code runs in {self._family.dtype} only": self._dtype != (self._family.dtype or self._dtype),
            "it takes one reference": (self._max_references or 0) > 1 and self._family.shape == "one",
        }
        for problem, there in problems.items():
            if there:
                raise UsageError(f"{self.identity}: {problem}")
