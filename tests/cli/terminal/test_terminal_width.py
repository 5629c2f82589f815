"""Nothing that is drawn is wider than the terminal, what has to be typed is whole, and foreign text stays text."""

import click
import pytest

from imagerag.agent.pointed_text import pointed
from imagerag.cli.exit_codes import wrapped as wrapped_error
from imagerag.cli.search_results import result_lines
from imagerag.cli.terminal.output import accent, dim, entry, message_lines, short, table, warning_lines, wrapped
from imagerag.cli.terminal.text_width import width
from imagerag.formatting.interface_terms import as_commands, python_call
from imagerag.schemas.searches import SearchDocument, SearchResult

LONG = "a red circle on a wooden table beside a blue vase with three white tulips in it"


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_a_table_that_fits_is_aligned_as_it_is() -> None:
    assert table([["a", "1"], ["bcd", "22"]], right={1}) == ["  a     1", "  bcd  22"]


def test_a_path_that_is_cut_ends_in_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert table([["id", "/a/long/way/to/the/folder/of/shoes.png", "9x9"]], cut=1, paths={1}) == [
        "  id  …y/to/the/folder/of/shoes.png  9x9"
    ]


def test_a_wide_table_is_folded_between_words_in_its_styles() -> None:
    lines = table([[accent("name"), dim(LONG), "CC-BY-4.0"], ["other", LONG[:20], "CC0"]])
    assert all(width(line) <= 80 for line in lines)
    assert len(lines) == 3
    assert lines[0].startswith("  \x1b[36mname\x1b[0m")
    both = " ".join(map(click.unstyle, lines[:2]))
    assert both.replace("name", "").replace("CC-BY-4.0", "").split() == LONG.split()
    assert not any(line != line.rstrip() for line in map(click.unstyle, lines))


@pytest.mark.parametrize("foreign", ["[red]x[/red]", "[/]", "[link=http://a]b[/link]", ":smile:", "[bold"])
def test_markup_in_foreign_text_is_text(foreign: str) -> None:
    lines = table([[foreign, LONG, LONG]])
    assert foreign in lines[0]
    assert "\x1b" not in "".join(lines)


def test_numbers_are_not_folded_and_their_headings_are() -> None:
    head = ["arm", *(f"better than the baseline {n}" for n in range(5))]
    lines = table([head, ["full", *(f"0.{n}00 ± 0.01" for n in range(5))]], right=set(range(1, 6)))
    assert all(width(line) <= 80 for line in lines)
    assert all(f"0.{n}00 ± 0.01" in lines[-1] for n in range(5))


def test_in_a_very_narrow_terminal_no_column_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    row = ["20261129-002718-f8459e", "✗ no usable reference", "67 %", LONG]
    told = " ".join(table([row], right={2})).split()
    assert sorted(told) == sorted(" ".join(row).split())


def test_a_list_is_cut_to_a_line_a_row() -> None:
    lines = table([["one", accent(LONG + LONG), "CC0"], ["two", "short", "CC0"]], cut=1)
    assert [width(line) for line in lines] == [80, 80]
    assert lines[0].startswith(f"  one  {accent('a red circle')[:-4]}")
    assert "…\x1b[0m" in lines[0]


def test_a_path_is_never_cut() -> None:
    path = "/" + "folder/" * 14 + "file.png"
    assert path in "\n".join(table([["home", path], ["prices", LONG]], whole={1}))


def test_a_command_is_never_cut() -> None:
    command = f"imagerag generate '{LONG}' --generator SPEC"
    said, typed = entry("next", f"try another generator: {command}")
    assert said.endswith("try another generator:")
    assert typed.strip() == command
    (alone,) = entry("next", command)
    assert alone.endswith(command)
    assert len(entry("next", "try another: imagerag demo")) == 1


@pytest.mark.parametrize("library", ["mine", "a library with a name of many words"])
def test_a_command_in_a_warning_stands_on_a_line_of_its_own(library: str) -> None:
    call = python_call("libraries.migrate", library, embedder="open_clip:ViT-B-32/laion2b_s34b_b79k")
    (text,) = warning_lines([f"library {library} was encoded with sketch, which knows coloured shapes only: {call}"])
    *before, typed = text.splitlines()
    assert typed.strip() == as_commands(call)
    assert all(width(line) <= 80 for line in before)
    assert before[0].startswith("warning: library")


def test_text_after_a_command_is_on_the_next_line() -> None:
    call = python_call("libraries.check", "mine")
    lines = message_lines(f"{LONG} ({call}), or {LONG}: imagerag doctor --probe", 80, indent=2, head="  ")
    assert as_commands(call) in [line.strip() for line in lines]
    assert lines[-1].strip() == "imagerag doctor --probe"
    assert message_lines(f"see {call}", 80, indent=2) == ["see imagerag library check mine"]
    told = message_lines(pointed("filter", "bad (", 4, "expected =", "quote it"), 80, indent=2)
    assert told == ["filter, column 5: expected = (bad (); quote it"]


def test_a_command_in_an_error_is_not_broken() -> None:
    command = f"imagerag trust --spec '{LONG}'"
    assert wrapped_error([f"imagerag: it is not loaded. If you know it: {command}"], 80)[-1].strip() == command


def test_wide_letters_count_as_two() -> None:
    assert width("日本") == 4
    assert width(short("日本語の長い文章" * 9, 11)) <= 11
    assert [width(line) for line in wrapped("日本語の長い文章", 6)] == [6, 6, 4]


@pytest.mark.parametrize("library", ["sketch", "photos,archive-of-the-museum,web:openverse?licences=cc0%2Cby"])
def test_the_header_of_a_search_fits(library: str) -> None:
    limits = dict.fromkeys(("sketch",) if library == "sketch" else ("photos", "archive-of-the-museum"), 0.352)
    results = [result(name, limit) for name, limit in limits.items()]
    head = [line for line in result_lines(search(library, results)) if "█" not in line]
    assert all(width(line) <= 80 for line in head)
    text = click.unstyle(" ".join(head))
    assert f"library {library}" in text
    assert all(name in text for name in limits)
    assert len(head) == (1 if library == "sketch" else 2)


def search(library: str, results: list[SearchResult]) -> SearchDocument:
    return SearchDocument(library=library, query="x", image=None, threshold=None, results=results)


def result(library: str, threshold: float) -> SearchResult:
    return SearchResult(
        id="0" * 64, similarity=0.4, library=library, threshold=threshold, accepted=True, terms=[], path=None,
        caption="", title="", metadata={}, tags=[], source="", author="", licence="",
    )  # fmt: skip
