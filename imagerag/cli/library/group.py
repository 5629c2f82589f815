"""`imagerag library`: list, info and calibrate; the other commands are in `images`, `duplicates`, `migration`,
`snapshots`, `unmatched` and `upkeep`."""

import asyncio
from typing import TYPE_CHECKING, TypedDict

import click

from imagerag.agent.errors import ImageRAGError
from imagerag.agent.retrieval.search_queries import split_name
from imagerag.cli import Globals
from imagerag.cli.command_group import FullHelpGroup
from imagerag.cli.library import check, duplicates, images, migration, snapshots, unmatched, upkeep
from imagerag.cli.library.caption_lines import caption_lines, threshold_text
from imagerag.cli.library.check import last_check_lines
from imagerag.cli.library.fusion_lines import fusion_lines
from imagerag.cli.library.library_command import LibraryCommand
from imagerag.cli.library.metadata_lines import library_metadata_lines, threshold_lines
from imagerag.cli.options import json_option, pass_globals
from imagerag.cli.terminal.output import (
    bold,
    columns,
    count,
    dim,
    entry,
    hanging,
    say,
    say_all,
    say_json,
    short,
    table,
)  # fmt: skip
from imagerag.client.client import ImageRAG
from imagerag.client.synchronous import run_sync
from imagerag.formatting.numbers import cosine
from imagerag.formatting.text import clean

if TYPE_CHECKING:
    from imagerag.schemas.libraries import Listed
    from imagerag.store.library.library_metadata import LibraryMetadata, Threshold


@click.group("library", cls=FullHelpGroup)
def library_command() -> None:
    """List, describe, change, check, export and remove libraries."""


@library_command.command("list")
@json_option
@pass_globals
def list_command(globals_: Globals, /, as_json: bool) -> int:
    """List the libraries."""
    rag = ImageRAG(home=globals_.home)
    library_metadata = run_sync(_described_all(rag))
    if as_json:
        from imagerag.schemas.libraries import LibrariesDocument

        say_json(
            LibrariesDocument(libraries=[_listed(*one, _tags_of(rag, one[0])) for one in library_metadata]).as_json()
        )
        return 0
    if not library_metadata:
        say("no libraries yet: imagerag index PATH --library NAME")
    say_all(table([_row(*one, _tags_of(rag, one[0])) for one in library_metadata], right={1, 2}))
    return 0


@library_command.command("info", cls=LibraryCommand)
@click.argument("name")
@json_option
@pass_globals
def info_command(globals_: Globals, /, name: str, as_json: bool) -> int:
    """Show the size, encoder and threshold of a library."""
    rag = ImageRAG(home=globals_.home)

    number, library_metadata = run_sync(_described(rag, name))
    other, counts = _other_encoder(rag, name), _counts(rag, name)
    last_check = rag.libraries.last_check_sync(name)
    if as_json:
        from imagerag.schemas.libraries import LibraryInfo

        info = LibraryInfo(library=name, images=number, metadata=library_metadata, snapshots=_tags(rag, name),
                           other_embedder=other, last_check=last_check, **counts)  # fmt: skip
        say_json(info.as_json())
    else:
        more = [f"snapshots: {', '.join(tags)}"] if (tags := _tags(rag, name)) else []
        if other:
            more += [f"vectors of {other}, which searches do not use:", f"  imagerag library migrate {name} --help"]
        head = f"library {bold(name)}: {count(number, 'image')}{_counts_text(counts)}"
        if library_metadata.describer:
            by = clean(library_metadata.describer.spec)
            goes_on = f"imagerag index describes new images with {by}; --describe none ends that"
            more += hanging(goes_on, columns(), indent=2)
        captions = caption_lines(library_metadata, name, counts["caption_vectors"])
        hybrid = fusion_lines(library_metadata.fusion, name)
        say_all(
            [
                head,
                *library_metadata_lines(library_metadata, name),
                *captions,
                *hybrid,
                *last_check_lines(last_check, name),
                *more,
            ]
        )
    return 0


@library_command.command("calibrate", cls=LibraryCommand)
@click.argument("name")
@json_option
@pass_globals
def calibrate_command(globals_: Globals, /, name: str, as_json: bool) -> int:
    """Measure the threshold of a library, and the weights of its lists in a hybrid search, again."""
    rag = ImageRAG(home=globals_.home)

    async def measure() -> "tuple[Threshold, LibraryMetadata]":
        opened = await rag.libraries.open(name)
        return await opened.calibrate(), opened.metadata

    threshold, metadata = run_sync(measure())
    of_captions, fusion = metadata.caption_threshold, metadata.fusion
    if as_json:
        from imagerag.schemas.libraries import ThresholdDocument

        document = ThresholdDocument(library=name, threshold=threshold, caption_threshold=of_captions, fusion=fusion)
        say_json(document.as_json())
    else:
        captions = entry("captions", threshold_text(of_captions)) if of_captions else []
        measured = [*threshold_lines(threshold), *captions, *fusion_lines(fusion, name)]
        say_all([f"library {bold(name)} is calibrated", *measured])
    return 0


Described = tuple[str, int | None, "LibraryMetadata | None", str]
"""A library's name, how many images, its metadata, and what is wrong with it."""


async def _described_all(rag: ImageRAG) -> list[Described]:
    """Describe every library; a damaged one does not hide the others."""
    rows: list[Described] = []
    for name in await rag.libraries.list():
        try:
            rows.append((name, *await _described(rag, name), ""))
        except ImageRAGError as error:
            rows.append((name, None, None, str(error)))
    return rows


async def _described(rag: ImageRAG, name: str) -> "tuple[int, LibraryMetadata]":
    """The number of images and the metadata of a library; its encoder need not be available."""
    from imagerag.store.library.database import open_table
    from imagerag.store.library.library_metadata import library_metadata_of
    from imagerag.store.library.names import is_snapshot

    if not is_snapshot(name) and name not in await rag.libraries.list():
        await rag.libraries.open(name)  # the built-in library is made on first use
    table = await asyncio.to_thread(open_table, rag.dependencies.home, name)
    return await asyncio.to_thread(table.count_rows), library_metadata_of(table, name)


class _Counts(TypedDict):
    """How many images of a library have what only some libraries have, as in `LibraryInfo`."""

    ocr_read: int
    caption_vectors: int
    described: int
    region_images: int
    regions: int


def _counts(rag: ImageRAG, name: str) -> _Counts:
    from imagerag.store.library.caption_vectors import count_caption_vectors
    from imagerag.store.library.database import open_table
    from imagerag.store.library.description_columns import count_described
    from imagerag.store.library.region_columns import count_regions
    from imagerag.store.library.search import count_ocr_read

    table = open_table(rag.dependencies.home, name)
    region_images, regions = count_regions(table)
    return {
        "ocr_read": count_ocr_read(table),
        "caption_vectors": count_caption_vectors(table),
        "described": count_described(table),
        "region_images": region_images,
        "regions": regions,
    }


def _counts_text(counts: _Counts) -> str:
    """The counts after the number of images; those of captions have a line of their own."""
    ocr_count, described, images = counts["ocr_read"], counts["described"], counts["region_images"]
    by_ocr = f", {ocr_count:,} read by OCR" if ocr_count else ""
    by_model = f", {described:,} described by a model" if described else ""
    regions = f", {images:,} with their regions encoded ({counts['regions']:,})" if images else ""
    return f"{by_ocr}{by_model}{regions}"


def _other_encoder(rag: ImageRAG, name: str) -> str | None:
    """Spec of the encoder whose vectors a library has without using them."""
    from imagerag.store.library.database import open_table
    from imagerag.store.library.library_metadata import other_metadata_of

    other = other_metadata_of(open_table(rag.dependencies.home, name), name)
    return other.spec if other else None


def _tags_of(rag: ImageRAG, name: str) -> list[str]:
    """The tags of a library's snapshots, by its current name."""
    from imagerag.store.library.database import folder_of
    from imagerag.store.library.names import snapshot_tags

    return snapshot_tags(folder_of(rag.dependencies.home, name))


def _tags(rag: ImageRAG, name: str) -> list[str]:
    """The tags of a library's snapshots; empty for a snapshot or a library that does not exist yet."""
    from imagerag.store.library.database import snapshot_names

    try:
        return [split_name(one)[1] or "" for one in snapshot_names(rag.dependencies.home, name)]
    except ImageRAGError:
        return []


def _listed(
    name: str, number: int | None, library_metadata: "LibraryMetadata | None", wrong: str, tags: list[str]
) -> "Listed":
    from imagerag.schemas.libraries import Listed

    threshold = library_metadata.threshold if library_metadata else None
    return Listed(
        name=name,
        images=number,
        embedder=library_metadata.spec if library_metadata else None,
        threshold=threshold.cosine if threshold else None,
        describer=library_metadata.describer.spec if library_metadata and library_metadata.describer else None,
        snapshots=tags,
        error=wrong or None,
    )


def _row(
    name: str, number: int | None, library_metadata: "LibraryMetadata | None", wrong: str, tags: list[str]
) -> list[str]:
    if library_metadata is None:
        return [bold(short(name, 40)), "", "", short(wrong, 100)]
    threshold = (
        f"threshold {cosine(library_metadata.threshold.cosine)}" if library_metadata.threshold else "not calibrated"
    )
    tagged = f", {count(len(tags), 'snapshot')}" if tags else ""
    describer = f", described by {short(library_metadata.describer.spec, 60)}" if library_metadata.describer else ""
    spec = dim(short(library_metadata.spec, 60) + describer + tagged)
    return [bold(short(name, 40)), count(number or 0, "image"), threshold, spec]


for module in (images, check, duplicates, migration, snapshots, unmatched, upkeep):
    for command in module.COMMANDS:
        library_command.add_command(command)
