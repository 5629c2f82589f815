"""Access policy for images that an assistant names: files below allowed folders, and addresses if on.

A chat assistant's arguments are written by a model, and a model repeats what it read. A path or an address is therefore
a wish, and this is where it is judged.
"""

import asyncio
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.images.formats import READ, looks_like_an_image
from imagerag.agent.visible_text import is_blank
from imagerag.graphs.validation import is_storable_text

if TYPE_CHECKING:
    from imagerag.tools.url_fetcher import Fetcher


@dataclass(frozen=True)
class InputPolicy:
    """Files and addresses that may be read on behalf of an assistant.

    Attributes:
        roots: folders whose files may be read, whatever lies in them; none allows no file.
        urls: whether http and https addresses may be fetched; never private ones.
        max_bytes: what an image may have at most.
        fetcher: fetches addresses; one with the limits of this policy when None.
    """

    roots: tuple[Path, ...] = ()
    urls: bool = False
    max_bytes: int = MAX_BYTES
    fetcher: "Fetcher | None" = field(default=None, compare=False)

    @classmethod
    def of(cls, roots: Iterable[str | Path], *, urls: bool = False, max_bytes: int = MAX_BYTES) -> "InputPolicy":
        """A policy for folders as a user names them.

        Raises:
            UsageError: one is not a folder.
        """
        folders = []
        for root in roots:
            path = Path(root).expanduser()
            if not path.is_dir():
                raise UsageError(f"--root {root}: no such folder")
            folders.append(path.resolve())
        return cls(tuple(folders), urls, max_bytes)

    @classmethod
    def of_current_folder(cls) -> "InputPolicy":
        """Files below the current folder; none where that is the whole machine, as in many containers."""
        here = Path.cwd()
        return cls.of([] if here == Path(here.anchor) else [here])

    async def read(self, source: str) -> bytes:
        """The bytes of an image that was named by a path or an address.

        Args:
            source: a path, absolute or relative to a root; or an http(s) address.

        Raises:
            UsageError: not allowed, not there, not an image, or too large. The message never says what else is there.
        """
        if is_blank(source) or not is_storable_text(source):
            raise UsageError("an image is named by a path or an address: this is neither")
        if len(source) > 4096:
            raise UsageError(f"a path or an address of {len(source)} characters is not read")
        scheme, colon, _ = source.partition("://")
        if colon and scheme.lower() in ("http", "https"):
            data = await self._fetch(source)
        elif colon or source.lower().startswith(("file:", "data:")):
            raise UsageError(f"{source[:60]!r} is not read: give a path below an allowed folder")
        else:
            data = await asyncio.to_thread(self._read_file, source)
        if not looks_like_an_image(data):
            raise UsageError(f"{source[:200]!r} is not an image ({READ})")
        return data

    def folder(self, source: str) -> Path:
        """A folder that was named by a path, absolute or relative to a root, with every link followed. Blocks.

        Raises:
            UsageError: not allowed, or no folder.
        """
        if not self.roots:
            raise UsageError("no folder is read here: none was allowed (the server's --root DIR allows one)")
        path = self.file(source)
        if not path.is_dir():
            raise UsageError(f"{source[:200]!r} is not a folder")
        return path

    def file(self, source: str) -> Path:
        """A file that was named by a path, absolute or relative to a root, with every link followed. Blocks.

        Raises:
            UsageError: not below a root.
        """
        root, inside = self._resolve(source)
        return root / inside

    async def _fetch(self, url: str) -> bytes:
        from imagerag.tools.url_fetcher import Fetcher

        if not self.urls:
            raise UsageError(
                "addresses are not fetched here (the server's --allow-urls turns it on): save it as a file"
            )
        return await (self.fetcher or Fetcher(max_bytes=self.max_bytes)).fetch(url)

    def _read_file(self, source: str) -> bytes:
        if not self.roots:
            raise UsageError("no file is read here: no folder was allowed (the server's --root DIR allows one)")
        root, inside = self._resolve(source)
        descriptor = _open_below(root, inside)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise UsageError(f"{source[:200]!r} is not a file")
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(self.max_bytes + 1) if status.st_size <= self.max_bytes else b""
        if status.st_size > self.max_bytes or len(data) > self.max_bytes:
            raise UsageError(f"{source[:200]!r} has more than the {self.max_bytes >> 20} MB that are read")
        return data

    def _resolve(self, source: str) -> tuple[Path, Path]:
        """The root that a path leads below once every link is followed, and the way from there, free of links."""
        for root in self.roots:
            try:
                path = (root / source).resolve(strict=True)
            except (OSError, RuntimeError, ValueError):
                continue
            for home in self.roots:
                if path.is_relative_to(home):
                    return home, path.relative_to(home)
        # The same words for a file that is not there and for one that may not be read: no probing.
        raise UsageError(f"{source[:200]!r} is not a file below {', '.join(map(str, self.roots))}")


def _open_below(root: Path, inside: Path) -> int:
    """Open a file step by step below a folder, following no link: one put there since the path was checked fails.

    O_NONBLOCK: opening a pipe must not wait for somebody to write into it.
    """
    *folders, name = inside.parts or (".",)
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    file_flags = os.O_RDONLY | careful | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if os.open not in os.supports_dir_fd:  # Windows: what can be had is that the whole path still is what it was
            if (root / inside).resolve(strict=True) != root / inside:
                raise OSError("changed meanwhile")
            return os.open(root / inside, file_flags)
        at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | careful)
        try:
            for folder in folders:
                below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | careful, dir_fd=at)
                os.close(at)
                at = below
            return os.open(name, file_flags, dir_fd=at)
        finally:
            os.close(at)
    except OSError as error:
        raise UsageError(f"{inside} cannot be read: {error.strerror or error}") from error
