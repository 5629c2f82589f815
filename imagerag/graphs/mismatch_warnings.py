"""Warnings before anything is drawn or paid: where the toy world of sketches meets what is not of it, and where a
library does not find even its own captions. One line each, with what to type. And the judge that `auto` took."""

from collections.abc import Iterable, Sequence
from typing import Final

from imagerag.agent.ports import ReferenceLibrary
from imagerag.agent.types import RunSpec
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.library_warnings import SKETCH, warnings_of
from imagerag.tools.embedders.default_encoder import DEFAULT_ENCODER

READ_AT_MOST: Final = 200
"""Prompts of a suite or a batch that are looked at: it takes a millisecond each."""


async def run_warnings(dependencies: Dependencies, setup: RunSpec, *prompts: str) -> tuple[str, ...]:
    """Warnings about runs of this setup; the library is opened, nothing else is done."""
    return warnings_with(setup, await dependencies.library(setup.library) if setup.library else None, *prompts)


def warnings_with(setup: RunSpec, library: ReferenceLibrary | None, *prompts: str) -> tuple[str, ...]:
    """The same where the setup's library is open already."""
    from imagerag.tools.automatic import reason_of
    from imagerag.tools.sketch.out_of_domain import foreign_words, is_foreign

    parts: list[str] = []
    foreign = [prompt for prompt in prompts[:READ_AT_MOST] if is_foreign(prompt)]
    if setup.generator == SKETCH and foreign:
        parts.append(_drawn_words(list(dict.fromkeys(word for prompt in foreign for word in foreign_words(prompt)))))
    if setup.judge == SKETCH and setup.generator != SKETCH:
        parts.append("the judge is sketch, which knows coloured shapes only: name one that looks, `judge=SPEC`")
    if reason := reason_of(setup.judge):
        parts.append(f"judge {reason}")
    if library is not None:
        parts += warnings_of(library, real=bool(foreign) or setup.generator != SKETCH)
    return tuple(parts)


async def warnings_of_many(
    dependencies: Dependencies, runs: Iterable[tuple[RunSpec, Sequence[str]]]
) -> tuple[str, ...]:
    """The same for many runs: what goes for several of them is said once."""
    parts = [await run_warnings(dependencies, setup, *prompts) for setup, prompts in runs]
    return tuple(dict.fromkeys(warning for warnings in parts for warning in warnings))


def encoder_warning(images: Sequence[bytes]) -> str | None:
    """Warning about real images that are encoded with the sketch encoder by default."""
    from imagerag.tools.sketch.out_of_domain import are_photographs

    if not are_photographs(images):
        return None
    return (
        "the encoder is sketch, which knows coloured shapes only, and these look like photographs: "
        f"index them with `embedder={DEFAULT_ENCODER}`"
    )


def _drawn_words(words: Sequence[str]) -> str:
    examples = ", ".join(f"“{word}”" for word in words[:3]) + (" …" if len(words) > 3 else "")
    lacks = f"does not know {examples}" if words else "finds none in this prompt"
    return (
        f"the sketch generator draws coloured shapes only and {lacks}: draw with `preset=openai`, or `generator=SPEC`"
    )
