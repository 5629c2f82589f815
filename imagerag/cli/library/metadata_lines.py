"""A library's encoder and thresholds as text."""

from typing import TYPE_CHECKING

from imagerag.cli.library.threshold_rates import NOT_MEASURED, accepted, between_images, list_rates, rejected
from imagerag.cli.terminal.output import accent, bold, count, dim, entry, short, table
from imagerag.formatting.numbers import cosine

if TYPE_CHECKING:
    from imagerag.store.library.library_metadata import LibraryMetadata, Threshold


def library_metadata_lines(library_metadata: "LibraryMetadata", name: str) -> list[str]:
    """The encoder and the threshold of a library."""
    rows = [
        [dim("encoder"), accent(library_metadata.spec)],
        [dim("model"), f"{library_metadata.model}, {library_metadata.dimension} dimensions"],
        [dim("weights"), short(library_metadata.weights, 40)],
        [dim("preprocess"), short(library_metadata.preprocess, 80)],
        [dim("created"), f"{library_metadata.created:%Y-%m-%d %H:%M} UTC"],
    ]
    if library_metadata.threshold:
        rows += _threshold_rows(library_metadata.threshold)
    else:
        rows.append([dim("threshold"), "not calibrated: it is empty"])
    return [*table(rows), *entry("images", _between(library_metadata, name))]


def _between(library_metadata: "LibraryMetadata", name: str) -> str:
    """The threshold between two images as text."""
    threshold = library_metadata.image_threshold
    if threshold is None:
        return f"between images: not measured yet: imagerag library calibrate {name}"
    if threshold.cosine is not None:
        rates = between_images(threshold.accept_rate, threshold.reject_rate)
        anew = f": imagerag library calibrate {name}" if rates == NOT_MEASURED else ""
        return f"between images: cosine {cosine(threshold.cosine)} and more is the same thing; {rates}{anew}"
    return (
        f"between images: not measured, it has too few of them ({threshold.images:,}), or its encoder cannot tell them "
        f"apart; add more, or name a cosine where one is needed: imagerag library dedupe {name} --threshold 0.97"
    )


def threshold_lines(threshold: "Threshold") -> list[str]:
    """The threshold as a cosine and as a percentile, with the data of its calibration."""
    return table(_threshold_rows(threshold))


def _threshold_rows(threshold: "Threshold") -> list[list[str]]:
    rows = [[dim("threshold"), f"cosine {bold(cosine(threshold.cosine))}"]]
    rows += [[dim("accepted"), accepted(threshold)], [dim("rejected"), rejected(threshold)]]
    captions = f"{threshold.n_own} own, {threshold.n_near} hard negative, {threshold.n_unrelated} unrelated captions"
    rows.append([dim("measured"), f"with {captions}, {count(threshold.images, 'image')}"])
    return [*rows, *([[dim("lists"), list_rates(threshold.things)]] if threshold.things else [])]
