"""One caption per missing concept, each short enough to be read whole by the library's encoder."""

from collections.abc import Sequence

from imagerag.agent.calls import Calls
from imagerag.agent.errors import JudgeReplyError
from imagerag.agent.ports import Captions, Judge, ReferenceLibrary
from imagerag.agent.types import Concept, Query

UNLIMITED = 10**6


async def fitting_queries(
    prompt: str, concepts: Sequence[Concept], judge: Judge, library: ReferenceLibrary | None, calls: Calls
) -> list[Query]:
    """A query per concept.

    Captions that came with the verdict are used as they are. The judge is asked for the rest, and once more for those
    the encoder could not read whole; what is still too long then falls back to the concept's own few words. Nothing
    is ever cut in silence: the query's `note` says what was done.
    """
    limit = library.context_length if library else UNLIMITED
    captions: dict[str, str] = {c.text: c.caption for c in concepts if c.caption}
    captions |= await _ask(prompt, [c for c in concepts if not captions.get(c.text)], judge, limit, calls)
    fits = {c.text: library is None or library.count_tokens(captions.get(c.text) or c.text) <= limit for c in concepts}
    shorter = await _ask(prompt, [c for c in concepts if not fits[c.text]], judge, limit, calls)
    return [_query(c, captions.get(c.text) or "", shorter.get(c.text), library) for c in concepts]


async def _ask(prompt: str, concepts: Sequence[Concept], judge: Judge, limit: int, calls: Calls) -> dict[str, str]:
    if not concepts:
        return {}
    try:
        answer = await calls.make_readable(
            "judge.captions",
            judge.identity,
            Captions,
            {"prompt": prompt, "concepts": [c.model_dump() for c in concepts], "max_tokens": limit},
            lambda variation: judge.captions(prompt, concepts, max_tokens=limit, variation=variation),
        )
    except JudgeReplyError:
        return {}
    return {concept.text: caption.strip() for concept, caption in zip(concepts, answer.captions, strict=False)}


def _query(concept: Concept, caption: str, shorter: str | None, library: ReferenceLibrary | None) -> Query:
    def fits(text: str | None) -> bool:
        return bool(text) and (library is None or library.count_tokens(text or "") <= library.context_length)

    if fits(caption):
        return Query(concept=concept, text=caption)
    if shorter and fits(shorter):
        return Query(concept=concept, text=shorter, note="shortened by the judge to fit the encoder")
    note = "the caption was longer than the encoder reads" if caption else "the judge wrote no caption"
    if fits(concept.text):
        return Query(concept=concept, text=concept.text, note=f"{note}: searched with the concept's own words")
    words = concept.text.split()
    while len(words) > 1 and not fits(" ".join(words)):
        words.pop()
    return Query(concept=concept, text=" ".join(words), note=f"{note}, and so was the concept: cut to its first words")
