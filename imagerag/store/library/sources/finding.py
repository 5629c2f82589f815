"""Archives and tables among the files of a scan."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from imagerag.store.library.sources.archive_manifests import read_in_archive
from imagerag.store.library.sources.exported_table import ExportedTable, LinkedRow
from imagerag.store.library.sources.file_selection import ExcludedFiles
from imagerag.store.library.sources.image_table import why_no_images
from imagerag.store.library.sources.manifest import Manifest
from imagerag.store.library.sources.manifest_hint import manifest_hint
from imagerag.store.library.sources.members import Member, Problem, Source
from imagerag.store.library.sources.opening import is_source, open_source
from imagerag.store.library.sources.source_suffixes import COMPRESSED_TAR
from imagerag.store.library.sources.tar_archive import TarArchive
from imagerag.store.library.sources.text_table import TextTable
from imagerag.store.library.sources.zip_archive import ZipArchive
from imagerag.store.text_files import clean

_UNNAMED_EXPORT: Final = "an export without bytes is read only where it is named as a PATH"


@dataclass
class FoundSources:
    """Archives and tables, and the images in them.

    Attributes:
        opened: the images in each, by its path; none for those that are left out.
        members: images, by their paths.
        whole: sources that were listed to their ends, by path.
        beside: manifests in archives, beside their images.
    """

    opened: dict[Path, Collection[Path]] = field(default_factory=dict)
    members: dict[Path, Member] = field(default_factory=dict)
    whole: dict[str, Source] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    beside: Manifest = field(default_factory=Manifest)

    def images(self, files: Iterable[Path]) -> Iterator[Path]:
        """Files, and in place of an archive or a table the images in it."""
        paths = (one for path in files for one in self.opened.get(path, (path,)))
        yield from dict.fromkeys(paths)  # an export may name files that lie in a folder that is indexed, too


def find_sources(
    files: Collection[Path],
    named_paths: Collection[Path],
    excluded: ExcludedFiles,
    images: Mapping[Path, Sequence[int]],
) -> FoundSources:
    """Open the archives and tables among files.

    Args:
        named_paths: files that the user named; compressed archives and exports without bytes are read only if they are
            among these.
        images: manifest → its rows that have an image in them.
    """
    sources, roots = FoundSources(), list(named_paths)
    for path in files:
        if not (path in images or is_source(path)) or not path.is_file():
            continue
        sources.opened[path] = ()
        if path.name.lower().endswith(COMPRESSED_TAR) and path not in named_paths:
            sources.problems.append((clean(str(path)), "a compressed archive is read only where it is named as a PATH"))
            continue
        try:
            lines = images.get(path)
            source = open_source(path, excluded.member, roots) if lines is None else TextTable(path, lines)
            if isinstance(source, ExportedTable) and source.linked and path not in named_paths:
                sources.problems.append((clean(str(path)), _UNNAMED_EXPORT))
                continue
            members = {one.path: one for one in source.members if not _is_file_now(one, files)} if source else {}
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            sources.problems.append((clean(str(path)), f"cannot be read: {why}"))
            continue
        if source is None:
            sources.problems.append((clean(str(path)), manifest_hint(path) or why_no_images(path)))
            continue
        sources.opened[path] = members.keys()
        sources.members |= members
        sources.problems += source.problems
        if isinstance(source, ZipArchive | TarArchive):
            sources.beside = sources.beside.overridden_by(read_in_archive(source))
        if source.whole:
            sources.whole[os.fspath(path)] = source
    return sources


def _is_file_now(member: Member, files: Collection[Path]) -> bool:
    """Whether a row of an export is about a file that is indexed itself, and was changed since: that counts then."""
    return isinstance(member, LinkedRow) and member.path in files and member.may_have_changed()
