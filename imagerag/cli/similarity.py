"""`imagerag similarity`."""

import asyncio
from typing import TYPE_CHECKING

import click

from imagerag.cli import Globals
from imagerag.cli.options import json_option, library_option, pass_globals
from imagerag.cli.terminal.output import bar, say, say_json, say_note, scale
from imagerag.client.client import ImageRAG
from imagerag.client.similarity import measure_similarities
from imagerag.formatting.numbers import cosine

if TYPE_CHECKING:
    from imagerag.schemas.searches import SimilarityDocument


@click.command("similarity")
@click.argument("image")
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
@library_option
@click.option("--embedder", metavar="SPEC", help="Another encoder than the library's.")
@json_option
@pass_globals
def similarity_command(
    globals_: Globals,
    /,
    image: str,
    texts: tuple[str, ...],
    library: str | None,
    embedder: str | None,
    as_json: bool,
) -> int:
    """Measure the similarity of IMAGE to each TEXT.

    It is the cosine of the library's encoder, shown with the threshold from which a run uses an image. --embedder takes
    another encoder, which has no threshold.
    """
    rag = ImageRAG(library=library, home=globals_.home)

    async def measure() -> tuple[list[float], float | None, str]:
        if embedder is not None:
            rag.dependencies.name(embedder)
            encoder, metadata = rag.dependencies.embedder(embedder), None
        else:
            opened = await rag.libraries.open()
            encoder, metadata = opened.embedder, opened.metadata.threshold
        similarities = await measure_similarities(encoder, image, texts)
        return similarities, metadata.cosine if metadata else None, encoder.identity.spec

    similarities, threshold, encoder = asyncio.run(measure())
    if as_json:
        say_json(document(image, texts, similarities, threshold, encoder).as_json())
        return 0
    top = scale([0.0, threshold or 0.0, *similarities])
    limit = f"threshold cosine ≥ {cosine(threshold)}" if threshold is not None else "no threshold"
    say_note(f"{encoder} · {limit}")
    for text, value in zip(texts, similarities, strict=True):
        say(f"  {bar(value, threshold, top)}  {cosine(value)}  {text}")
    return 0


def document(
    image: str, texts: tuple[str, ...], similarities: list[float], threshold: float | None, encoder: str
) -> "SimilarityDocument":
    """The measured similarities as a JSON document."""
    from imagerag.schemas.searches import Compared, SimilarityDocument

    results = [
        Compared(text=text, similarity=value, accepted=None if threshold is None else value >= threshold)
        for text, value in zip(texts, similarities, strict=True)
    ]
    return SimilarityDocument(image=image, embedder=encoder, threshold=threshold, results=results)
