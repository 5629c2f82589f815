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
    vectors_text = f"{count(vectors, 'vector')} with {clean(encoder.spec)}{own}, {encoder.dimension} dimensions"
    if metadata.caption_threshold is None:
        threshold = f"of captions: not measured yet: imagerag library calibrate {name}"
    else:
        threshold = threshold_text(metadata.caption_threshold)
    return [*entry("captions", vectors_text), *entry("", threshold)]


def threshold_text(limit: "CaptionThreshold") -> str:
    """A threshold of captions with its error rates, or why none is claimed."""
    measured = (
        f"measured with {limit.n_own} parts of captions, {limit.n_near} hard negatives and {limit.n_unrelated} "
        f"unrelated captions"
    )
    if limit.accept_rate is None or limit.unrelated_reject_rate is None:
        return f"of captions: not measured, too few of {count(limit.captions, 'caption')} say different things"
    near = "" if limit.near_reject_rate is None else f"{percent(limit.near_reject_rate)} of what nearly fits and "
    rates = (
        f"{percent(limit.accept_rate)} of what fits is accepted; {near}{percent(limit.unrelated_reject_rate)} of what "
    )
    rates += "does not is rejected"
    if limit.cosine is None:
        return f"of captions: none, the encoder cannot tell these captions apart ({rates}); {measured}"
    how = "" if limit.is_reliable else "; the encoder cannot tell all of these captions apart"
    if limit.near_reject_rate is None:
        how = "; nearly right captions were not measured, as these captions differ in too little"
    elif limit.method == "unrelated":
        how = "; the encoder tells captions from unrelated ones, but not from nearly right ones"
    return f"of captions: cosine {cosine(limit.cosine)}: {rates}{how}; {measured}"
