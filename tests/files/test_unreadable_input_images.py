"""A picture of the user that cannot be read: the message says which file, at every door that takes one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from imagerag import ImageRAG, UsageError
from imagerag.tools.testing.mock_openai import tiny_png

HANDED: Mapping[str, Any] = {
    "subjects": lambda rag, good, bad: rag.generate("a red circle", subjects=[good, bad]),
    "edit": lambda rag, good, bad: rag.generate("a red circle", edit=bad),
    "mask": lambda rag, good, bad: rag.generate("a red circle", edit=good, mask=bad),
    "image of a mask": lambda rag, good, bad: rag.generate("a red circle", edit=bad, mask=good),
    "first image": lambda rag, good, bad: rag.generate("a red circle", initial_image=bad),
    "question": lambda rag, good, bad: rag.ask("what is it?", images=[good, bad]),
}


@pytest.mark.parametrize("as_what", HANDED)
async def test_the_message_names_the_file(as_what: str, tmp_path: Path, sketch_home: Path) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "archive.jpg"
    good.write_bytes(tiny_png("good"))
    bad.write_bytes(b"PK\x03\x04" + bytes(1000))
    rag = ImageRAG(home=sketch_home, preset="sketch")
    with pytest.raises(UsageError, match=r"archive\.jpg.*not an image we read"):
        await HANDED[as_what](rag, good, bad)
