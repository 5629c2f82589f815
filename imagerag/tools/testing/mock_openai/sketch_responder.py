"""Sketch responder: the sketch world generates and judges the images."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from imagerag.agent.feedback import split_feedback
from imagerag.agent.ports import ImageGenerator, ImagePart, Judge, ReferenceTemplate
from imagerag.agent.types import Concept, Requirement, SamplingParams, Size
from imagerag.tools.generators.image_models import CHAT_TEMPLATE, EDIT_TEMPLATE
from imagerag.tools.sketch.rephrasing import rephrased
from imagerag.tools.testing.mock_openai.default_responder import wanted_size
from imagerag.tools.testing.mock_openai.request_log import RecordedRequest
from imagerag.tools.testing.mock_openai.response_rendering import media_type_of
from imagerag.tools.testing.mock_openai.responses import ImageShape, MockResponse
from imagerag.tools.testing.mock_openai.sketch_prompts import (
    ParsedRequest,
    SketchVerdict,
    answer_text,
    asks_preference,
    question_of,
)
from imagerag.tools.testing.mock_openai.sketch_templates import PromptImage, read_back


@dataclass
class SketchResponder:
    """Generates with the sketch generator and judges with the sketch CLIP: a realistic provider, offline and free.

    It uses only what a real service gets: prompt text and pixels. `template` parses which reference stands for what,
    and `sketch_prompts.py` a judge's question.

    Attributes:
        template: the client's prompt template for references.
        image_shape: location of images in chat responses.
        generator: by default the sketch generator.
        judge: by default the sketch judge.
    """

    template: ReferenceTemplate = EDIT_TEMPLATE
    image_shape: ImageShape = "message.images"
    generator: ImageGenerator | None = None
    judge: Judge | None = None
    seed: int = 0

    def __call__(self, request: RecordedRequest) -> MockResponse:
        """An image if one is requested, otherwise a judge's response."""
        if request.asks == "image":
            return MockResponse(images=(self._draw(request),), image_shape=self.image_shape)
        return MockResponse(text=self._say(request))

    def read_prompt(self, prompt: str) -> tuple[str, dict[int, PromptImage]]:
        """The prompt without references, and what it says of each image by its position, from 1."""
        for template in (self.template, CHAT_TEMPLATE):
            for whole in filter(None, (template.edit, template.masked, template.subject, template.whole)):
                if parsed := read_back(template, whole, prompt):
                    return parsed
        return prompt, {}

    def _draw(self, request: RecordedRequest) -> bytes:
        scene, prompt_images = self.read_prompt(request.prompt)
        sent_images = [image for image in request.images if image.name != "mask"]
        unsaid = PromptImage("subject", "")
        references = [_part(image.data, *prompt_images.get(n, unsaid)) for n, image in enumerate(sent_images, 1)]
        edits = bool(references) and references[0].role == "edit"
        dimensions = wanted_size(request, (256, 256))
        size = (
            None
            if edits and wanted_size(request, (0, 0)) == (0, 0)
            else Size(width=dimensions[0], height=dimensions[1])
        )
        variation = SamplingParams(seed=self.seed)
        return asyncio.run(self._painter.generate(scene, references, variation=variation, size=size)).data

    def _say(self, request: RecordedRequest) -> str:
        question = question_of(request)
        roles = [*question.sent, *["reference"] * len(request.images)]
        parts = [_part(image.data, role, "") for image, role in zip(request.images, roles, strict=False)]
        if request.schema is None and question.about == "rephrased":
            return rephrased(question.prompt)
        if request.schema is None and question.about == "captions" and question.requirements:
            return answer_text(request, question, self._captioned(question.prompt, question.requirements))
        if not parts or not question.prompt:
            return answer_text(request, question, SketchVerdict())
        if asks_preference(request) and len(parts) > 1:
            preference = asyncio.run(self._looker.compare(question.prompt, parts[-2], parts[-1]))
            return answer_text(request, question, SketchVerdict(better=preference.better))
        if question.about == "missing" and question.searched:
            return answer_text(request, question, self._other_words(question, parts))
        kinds = [*question.kinds, *["content"] * len(question.requirements)]
        numbers = {text: n for n, text in enumerate(question.requirements)}
        feedback = split_feedback(question.prompt)[1]
        requirements = [
            _requirement(text, "feedback" if text in feedback else kinds[n], len(parts) - 1)
            for text, n in numbers.items()
        ]
        return answer_text(request, question, self._look(question.prompt, parts, requirements))

    def _look(self, prompt: str, parts: Sequence[ImagePart], requirements: Sequence[Requirement]) -> SketchVerdict:
        """Judge the last image; those before it are the user's own subjects."""
        judge, image, first = self._looker, parts[-1], SamplingParams()
        critique = judge.critique(
            prompt, image, subjects=parts[:-1], requirements=requirements, mode="fused", variation=first
        )
        verdict = asyncio.run(critique).verdict
        concepts: tuple[Concept, ...] = verdict.missing
        if not verdict.aligned and not concepts:
            concepts = asyncio.run(judge.missing_concepts(prompt, image, verdict=verdict, variation=first)).concepts
        captions = tuple(concept.caption or concept.text for concept in concepts)
        if concepts and not all(concept.caption for concept in concepts):
            captions = asyncio.run(judge.captions(prompt, concepts, max_tokens=64, variation=first)).captions
        return SketchVerdict(verdict=verdict, concepts=concepts, captions=captions)

    def _other_words(self, question: ParsedRequest, parts: Sequence[ImagePart]) -> SketchVerdict:
        """Other words to search for: the judge's next wording of a missing concept that was not searched yet."""
        verdict = self._look(question.prompt, parts, ()).verdict
        assert verdict is not None, "who looks gives a verdict"
        for variant in (1, 2):
            params = SamplingParams(
                attempt=variant,
                varied_parameter="seed_and_wording",
                prompt_variant=variant,
                failed_searches=question.searched,
            )
            missing = self._looker.missing_concepts(
                question.prompt, parts[-1], verdict=verdict, variation=params, subjects=parts[:-1]
            )
            if concepts := asyncio.run(missing).concepts:
                return SketchVerdict(verdict=verdict, concepts=concepts, captions=tuple(c.text for c in concepts))
        return SketchVerdict(verdict=verdict)

    def _captioned(self, prompt: str, texts: Sequence[str]) -> SketchVerdict:
        concepts = tuple(Concept(text=text) for text in texts)
        captions = self._looker.captions(prompt, concepts, max_tokens=64, variation=SamplingParams())
        return SketchVerdict(concepts=concepts, captions=asyncio.run(captions).captions)

    @cached_property
    def _painter(self) -> ImageGenerator:
        from imagerag.tools.sketch.generator import SketchGenerator

        return self.generator or SketchGenerator()

    @cached_property
    def _looker(self) -> Judge:
        from imagerag.tools.registry import make_judge

        return self.judge or make_judge("sketch")


def _part(data: bytes, role: str, caption: str) -> ImagePart:
    return ImagePart(data=data, media_type=media_type_of(data), role=role, concept=caption, caption=caption)  # type: ignore[arg-type]


def _requirement(text: str, kind: str, image_count: int) -> Requirement:
    """A requirement; one that compares names its image, an edit the first."""
    number = re.search(r"\bof picture (\d+)$", text)
    compared = int(number[1]) if number and kind == "likeness" else 1 if kind == "kept" and image_count else None
    return Requirement(text=text, kind=kind, image=compared)  # type: ignore[arg-type]
