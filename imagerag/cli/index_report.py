"""The report of `imagerag index`, as text and as a JSON document."""

from typing import TYPE_CHECKING

from imagerag.cli.index_descriptions import description_lines, descriptions_document
from imagerag.cli.library.check import verdict_lines
from imagerag.cli.skipped_files import column_lines, example_lines, skipped_lines
from imagerag.cli.terminal.output import accent, bold, count, dim
from imagerag.formatting.numbers import cosine, percentile, rate
from imagerag.formatting.text import clean

if TYPE_CHECKING:
    from imagerag.schemas.libraries import IndexDocument
    from imagerag.store.library.indexing.index_report import IndexReport
    from imagerag.store.library.library_metadata import LibraryMetadata


def document(report: "IndexReport", name: str, library_metadata: "LibraryMetadata | None") -> "IndexDocument":
    """The result of indexing as a JSON document."""
    from imagerag.schemas.libraries import IndexDocument, Level, Skipped

    threshold = library_metadata.threshold if library_metadata else None
    return IndexDocument(
        library=name,
        embedder=library_metadata.spec if library_metadata else "",
        added=report.added,
        updated=report.updated,
        unchanged=report.unchanged,
        moved=report.moved,
        changed=report.changed,
        removed=report.removed,
        paths_removed=report.paths_removed,
        missing=report.missing,
        duplicates=report.duplicates,
        removed_before=report.removed_before,
        skipped=[Skipped(path=path, reason=reason) for path, reason in report.skipped],
        captions=report.captions,
        captions_encoded=report.captions_encoded,
        caption_embedder=_caption_embedder(library_metadata),
        ocr_read=report.ocr_read,
        ocr_words=report.ocr_words,
        descriptions=descriptions_document(report),
        region_images=report.region_images,
        regions=report.regions,
        notes=[Skipped(path=path, reason=reason) for path, reason in report.notes],
        columns=report.columns,
        manifest_captions=report.manifest_captions,
        warnings=report.warnings,
        images_per_s=report.images_per_s,
        seconds=dict(report.seconds),
        threshold=Level(cosine=threshold.cosine, percentile=threshold.percentile) if threshold else None,
        check=report.check,
        dry_run=report.dry_run,
        examples=report.examples,
    )


def _caption_embedder(metadata: "LibraryMetadata | None") -> str | None:
    """Spec of the encoder of a library's captions."""
    return metadata.caption_encoder.spec if metadata and metadata.caption_encoder else None


def report_lines(report: "IndexReport", name: str, library_metadata: "LibraryMetadata | None") -> list[str]:
    """The report of indexing or of a dry run as text."""
    did = [
        f"{number:,} {word}"
        for number, word in (
            (report.added, "added"),
            (report.changed, "changed"),
            (report.moved, "moved"),
            (report.updated, "updated"),
            (report.removed, "removed"),
            (report.unchanged, "unchanged"),
            (report.duplicates, "duplicate"),
            (report.removed_before, "removed before"),
            (len(report.skipped), "skipped"),
        )
        if number
    ]
    did += [f"{count(report.paths_removed, 'path')} taken out"] if report.paths_removed else []
    would = "would be: " if report.dry_run and did else ""
    lines = [f"library {bold(name)}: {would}{', '.join(did) or 'nothing to index'}"]
    if report.dry_run:
        return [*lines, *example_lines(report), *skipped_lines(report.skipped), *description_lines(report)]
    lines += [*skipped_lines(report.skipped), *skipped_lines(report.notes)]
    lines += column_lines(report.columns)
    if report.manifest_captions is not None:
        lines.append(f"  {dim('manifest')}   {count(report.manifest_captions, 'caption')} came with it")
    if report.seen > len(report.skipped):
        lines.append(f"  {dim('captions')}   {report.captions:,} of these images have one")
    if report.ocr_read:
        lines.append(f"  {dim('ocr')}        {count(report.ocr_read, 'image')} read, {report.ocr_words:,} with words")
    if report.captions_encoded:
        encoder = clean(_caption_embedder(library_metadata) or "")
        lines.append(f"  {dim('encoded')}    {count(report.captions_encoded, 'text')} with {encoder}")
    lines += description_lines(report)
    if report.region_images:
        lines.append(
            f"  {dim('regions')}    {count(report.regions, 'region')} of {count(report.region_images, 'image')} encoded"
        )
    threshold = library_metadata.threshold if library_metadata else None
    if threshold:
        share = f"({percentile(threshold.percentile)} of captions that no image here fits score lower)"
        lines.append(f"  {dim('threshold')}  cosine {cosine(threshold.cosine)} {dim(share)}")
    if library_metadata and report.added + report.changed:
        speed = f"{rate(report.images_per_s, 'images')} with {clean(library_metadata.spec)}"
        lines.append(f"  {dim('speed')}      {speed}")
    if report.check:
        more = accent(f"imagerag library check {name}")
        lines += [f"  {dim('check')}      {more}", *verdict_lines(report.check.ways)]
    return [*lines, f"  {dim('next')}       {accent(f'imagerag search WORDS --library {name}')}"]
