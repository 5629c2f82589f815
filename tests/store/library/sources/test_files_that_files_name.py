"""A manifest, a batch or a suite names no file outside of its folder, unless the user says that it may."""

import json
import os
from pathlib import Path

import pytest

from imagerag import ImageRAG, UsageError
from imagerag.batch.row_reader import read_rows
from imagerag.evals.suites.prompt_files import prompt_suite
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.sources.manifest import read_manifest
from imagerag.store.path_policy import PathPolicy
from imagerag.tools.testing.mock_openai import tiny_png


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Somebody else's folder, beside a picture of the user's."""
    folder = tmp_path / "repository"
    (folder / "below").mkdir(parents=True)
    for name in ("a.png", "below/b.png"):
        (folder / name).write_bytes(tiny_png(name))
    (tmp_path / "private.png").write_bytes(tiny_png("private"))
    (folder / "link.png").symlink_to(tmp_path / "private.png")
    (folder / "up").symlink_to(tmp_path)
    (tmp_path / "repository2").mkdir()
    (tmp_path / "repository2" / "c.png").write_bytes(tiny_png("c"))
    return folder


OUTSIDE = ("../private.png", "below/../../private.png", "link.png", "up/private.png", "../repository2/c.png")


def outside(repository: Path) -> list[str]:
    return [*OUTSIDE, str(repository.parent / "private.png")]


@pytest.mark.parametrize("name", ["a.png", "below/b.png", "below/../a.png"])
def test_files_below_the_folder_may_be_named(repository: Path, name: str) -> None:
    files = PathPolicy(repository)
    assert files.find(name).is_file()
    assert files.find(str(repository / name)).is_file()


@pytest.mark.parametrize("at", range(6))
def test_files_elsewhere_may_not_unless_the_user_says_so(repository: Path, at: int) -> None:
    name = outside(repository)[at]
    with pytest.raises(UsageError, match="allow_outside=True"):
        PathPolicy(repository).find(name)
    assert PathPolicy(repository, allow_outside=True).find(name).is_file()
    assert PathPolicy(repository, (repository.parent,)).find(name).is_file()


def test_a_home_folder_and_a_server_are_elsewhere(repository: Path) -> None:
    for name in ("~/.ssh/id_rsa", "/etc/passwd", "//server/share/x.png", "a\0.png"):
        with pytest.raises(UsageError, match="allow_outside=True"):
            PathPolicy(repository).find(name)


def test_a_folder_that_is_reached_by_a_link_is_the_folder(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "by-link").symlink_to(repository)
    assert PathPolicy(tmp_path / "by-link").find("a.png").is_file()
    assert PathPolicy(tmp_path / "by-link").find(str(repository / "a.png")).is_file()


def manifest(repository: Path, suffix: str = ".jsonl") -> Path:
    file = repository / f"m{suffix}"
    names = ["a.png", *outside(repository)]
    if suffix == ".csv":
        file.write_text("path,caption\n" + "".join(f"{name},words\n" for name in names))
    elif suffix == ".json":
        file.write_text(json.dumps(dict.fromkeys(names, "words")))
    else:
        file.write_text("".join(json.dumps({"path": name, "caption": "words"}) + "\n" for name in names))
    return file


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".json"])
def test_a_manifest_reads_nothing_elsewhere(repository: Path, suffix: str) -> None:
    file = manifest(repository, suffix)
    read = read_manifest(file)
    assert [path.name for path in read.entries] == ["a.png"]
    assert len(read.problems) == 6
    assert all("allow_outside=True" in why for _, why in read.problems)
    assert len(read_manifest(file, allow_outside=True).entries) == 5  # two of the six names are of one file


def test_what_the_user_named_himself_may_be_named_by_a_manifest(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere" / "m.jsonl"
    file.parent.mkdir()
    file.write_text(json.dumps({"path": str(repository / "a.png"), "caption": "words"}))
    assert not read_manifest(file).entries
    assert read_manifest(file, [repository]).entries
    assert read_manifest(file, named_paths=[repository / "a.png"]).entries


async def test_index_lists_what_it_did_not_read(repository: Path, tmp_path: Path) -> None:
    rag = ImageRAG(home=tmp_path / "home")
    report = await rag.libraries.index(library="mine", embedder="sketch", manifest=manifest(repository))
    assert (report.added, len(report.skipped)) == (1, 6)
    report = await rag.libraries.index(library="mine", manifest=manifest(repository), allow_outside=True)
    assert report.added == 2  # the private picture, and c.png


def test_a_batch_runs_no_line_that_names_a_file_elsewhere(repository: Path) -> None:
    file = repository / "prompts.jsonl"
    lines = [{"prompt": "a cat", "subjects": [name]} for name in outside(repository)]
    lines += [{"prompt": "a cat", "initial_image": name} for name in outside(repository)]
    lines += [{"prompt": "a cat", "subjects": ["a.png"], "mask": "../private.png"}]
    file.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"prompt": "a cat", "subjects": ["a.png"]}]))
    *bad, good = read_rows(file)
    assert all("allow_outside=True" in item.problem and not item.options for item in bad)
    assert not good.problem
    assert not any(item.problem for item in read_rows(file, allow_outside=True))


def test_a_programs_own_values_name_what_they_like(repository: Path) -> None:
    (item,) = read_rows([{"prompt": "a cat", "initial_image": str(repository.parent / "private.png")}])
    assert not item.problem


@pytest.mark.parametrize("column", ["initial_image", "subjects", "real"])
def test_a_suite_reads_no_picture_elsewhere(repository: Path, column: str) -> None:
    file = repository / "suite.jsonl"
    file.write_text(json.dumps({"prompt": "a cat", column: os.path.join("..", "private.png")}))
    with pytest.raises(UsageError, match="allow_outside=True"):
        prompt_suite(file)
    assert prompt_suite(file, allow_outside=True).cases


# --- sidecars that are links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".txt", ".json", ".caption", ".png.supplemental-metadata.json"])
@pytest.mark.parametrize("link", ["relative", "absolute"])
async def test_a_sidecar_that_links_elsewhere_is_no_caption_unless_the_user_says_so(
    repository: Path, library: Library, suffix: str, link: str
) -> None:
    secret = repository.parent / "credentials"
    secret.write_text('{"caption": "TOKEN=hunter2"}', encoding="utf-8")
    sidecar = repository / f"a{suffix}"
    sidecar.symlink_to("../credentials" if link == "relative" else secret)
    report = await index([repository / "a.png", repository / "below"], library)
    assert not any("hunter2" in f"{row.caption} {row.metadata}" for row in await library.rows())
    [(image, why)] = report.notes
    assert image.endswith("a.png")
    assert f"its sidecar {sidecar.name} was left out" in why
    assert "allow_outside=True" in why
    await index([repository], library, allow_outside=True)
    assert any("hunter2" in row.caption for row in await library.rows())


async def test_a_sidecar_that_links_into_what_is_indexed_is_read(repository: Path, library: Library) -> None:
    (repository / "a.txt").symlink_to("below/words.txt")
    (repository / "below" / "words.txt").write_text("a card", encoding="utf-8")
    (repository / "below" / "b.txt").symlink_to("../../said/b.txt")
    (repository.parent / "said").mkdir()
    (repository.parent / "said" / "b.txt").write_text("another card", encoding="utf-8")
    await index([repository / "a.png", repository / "below", repository.parent / "said"], library)
    assert {row.caption for row in await library.rows()} == {"a card", "another card"}


# --- links to images and folders -------------------------------------------------------------------------------------


async def test_a_link_leads_only_below_the_folders_that_are_allowed(repository: Path, library: Library) -> None:
    (repository / "in").symlink_to("below")
    report = await index([repository], library, links_within=[repository])
    assert [path for path, why in report.skipped if "leads out" in why] == [
        str(repository / "link.png"),
        str(repository / "up"),
    ]
    assert await library.count() == 2
    await index([repository], library)
    assert await library.count() == 4
