"""The language of a library's captions, as thresholds note it."""

import pyarrow as pa
import pytest

from imagerag.store.library.threshold_update import language_of


@pytest.mark.parametrize(
    ("captions", "tags", "language"),
    [
        (["ein Boot auf dem See", "das Haus", ""], None, "de"),
        (["Zorblat", "", "Quibbern"], ["pt-BR", "fr", "pt"], "pt"),
        (["Zorblat", "Quibbern"], [None, ""], ""),
        (["a boat on the lake", "the house"], ["", None], "en"),
        (["", ""], ["de", "de"], ""),
        ([], [], ""),
    ],
)
def test_words_and_tags_of_captions_tell_it(captions: list[str], tags: list[str | None] | None, language: str) -> None:
    """Libraries of earlier versions have no column of tags; images without a caption do not count."""
    columns = {"caption": pa.array(captions, pa.string())}
    if tags is not None:
        columns["language"] = pa.array(tags, pa.string())
    assert language_of(pa.table(columns)) == language
