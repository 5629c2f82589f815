"""An archive is sent while it is made."""

import io
from collections.abc import AsyncIterator
from zipfile import ZipFile

from hypothesis import given
from hypothesis import strategies as st

from imagerag.client.synchronous import run_sync
from imagerag.files.zip_stream import CHUNK, zip_stream


async def listed(files: dict[str, bytes]) -> AsyncIterator[tuple[str, bytes]]:
    for file in files.items():
        yield file


async def joined(files: dict[str, bytes]) -> bytes:
    return b"".join([chunk async for chunk in zip_stream(listed(files))])


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-zé ]{1,8})?\.(png|json)", fullmatch=True), st.binary(), max_size=5)
)
def test_what_goes_in_comes_out(files: dict[str, bytes]) -> None:
    data = run_sync(joined(files))
    with ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
    assert run_sync(joined(files)) == data


async def test_a_file_is_sent_before_the_next_is_read() -> None:
    read = []

    async def files() -> AsyncIterator[tuple[str, bytes]]:
        for name in ("one.png", "two.png"):
            read.append(name)
            yield name, bytes(2 * CHUNK + 1)

    chunks = zip_stream(files())
    sent = [await anext(chunks) for _ in range(3)]
    assert (read, max(map(len, sent))) == (["one.png"], CHUNK)
    async for _ in chunks:
        pass
    assert read == ["one.png", "two.png"]
