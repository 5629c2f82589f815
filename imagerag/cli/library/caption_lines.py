"""The encoder and the threshold of a library's captions, as lines of `library info` and `library calibrate`."""

from typing import TYPE_CHECKING

from imagerag.cli.terminal.output import count, entry
from imagerag.formatting.numbers import cosine, percent
from imagerag.formatting.text import clean

if TYPE_CHECKING:
    from imagerag.store.library.caption_metadata import CaptionThreshold
    from imagerag.store.library.library_metadata import LibraryMetadata


def caption_lines(metadata: "LibraryMetadata", name: str, vectors: int) -> list[str]:
    """The encoder of the captions and their threshold; nothing where captions are not encoded.

    Args:
        vectors: how many captions are encoded.
    """
    encoder = metadata.caption_encoder
    if encoder is None:
        return []
    own = ", the library's own" if encoder.embedder == metadata.embedder else ""
    made = f"{count(vectors, 'vector')} with {clean(encoder.spec)}{own}, {encoder.dimension} dimensions"
    if metadata.caption_threshold is None:
        threshold = f"of captions: not measured yet: imagerag library calibrate {name}"
    else:
        threshold = threshold_text(metadata.caption_threshold)
    return [*entry("captions", made), *entry("", threshold)]


def threshold_text(found: "CaptionThreshold") -> str:
    """A threshold of captions with its error rates, or why none is claimed."""
    measured = (
        f"measured with {found.n_own} parts of captions, {found.n_near} hard negatives and {found.n_unrelated} "
        f"unrelated captions"
    )
    if found.accept_rate is None or found.unrelated_reject_rate is None:
        return f"of captions: not measured, there are too few captions ({found.captions:,})"
    near = "" if found.near_reject_rate is None else f"{percent(found.near_reject_rate)} of what nearly fits and "
    said = (
        f"{percent(found.accept_rate)} of what fits is accepted; {near}{percent(found.unrelated_reject_rate)} of what "
    )
    said += "does not is rejected"
    if found.cosine is None:
        return f"of captions: none, the encoder cannot tell these captions apart ({said}); {measured}"
    how = "" if found.is_reliable else "; the encoder cannot tell all of these captions apart"
    if found.near_reject_rate is None:
        how = "; nearly right captions were not measured, as these captions differ in too little"
    elif found.method == "unrelated":
        how = "; the encoder tells captions from unrelated ones, but not from nearly right ones"
    return f"of captions: cosine {cosine(found.cosine)}: {said}{how}; {measured}"
