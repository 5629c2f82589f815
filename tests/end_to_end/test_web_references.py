"""The sketch world with a search service: what its library lacks comes from there, is credited, kept, and replayed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from imagerag import ImageRAG
from imagerag.agent.errors import RunStateError, UntrustedError, UsageError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import ImageRef, Outcome, UsedReference, WebProvenance
from imagerag.assistants.service import ChatService
from imagerag.assistants.tool_inputs import GenerateImage, SearchReferences
from imagerag.cli.run_text import reference_lines
from imagerag.files.sidecar import Sidecar
from imagerag.graphs.configuration.settings import resolve
from imagerag.graphs.configuration.trust_policy import check_web_library
from imagerag.tools.web import search as searches
from tests.cli.conftest import Imagerag, document
from tests.tools.web.search_server import DOTTED_HEXAGON, SearchServer, drawn, found, search_server


@pytest.fixture
def server() -> Iterator[SearchServer]:
    with search_server() as one:
        one.finds(found(one.image("/hexagon.png", drawn())))
        yield one


@pytest.fixture
def rag(home: Path, server: SearchServer) -> ImageRAG:
    return ImageRAG(preset="sketch", home=home, library=f"sketch,{server.library}")


async def test_a_run_finds_credits_and_replays_what_its_library_lacks(rag: ImageRAG, server: SearchServer) -> None:
    record = await rag.generate(DOTTED_HEXAGON, seed=3)
    assert record.outcome is Outcome.ALIGNED
    (used,) = record.references
    assert (used.author, used.licence, used.source) == ("Ann", "CC-BY-4.0", "https://example.org/hexagon")
    assert record.cost_usd == 0
    (credit,) = Sidecar.of(record).references
    assert credit.web is not None
    assert credit.web.page == "https://example.org/hexagon"
    page = await rag.runs.report(record)
    assert '<a href="https://example.org/hexagon" rel="noopener noreferrer nofollow"' in page
    server.stop()
    again = await rag.runs.replay(record.run_id, step=0)
    assert (again.outcome, again.references) == (Outcome.ALIGNED, record.references)
    assert await bytes_of(rag, again) == await bytes_of(rag, record)
    alone = ImageRAG(preset="sketch", home=rag.dependencies.home.root, library=rag.settings.library)
    strict = await alone.generate(DOTTED_HEXAGON, seed=3, cache="replay")
    assert await bytes_of(alone, strict) == await bytes_of(rag, record)
    assert strict.references == record.references


async def bytes_of(rag: ImageRAG, record: RunRecord) -> list[bytes]:
    """The images of a run's attempts and references."""
    images = [attempt.image for attempt in record.attempts] + [used.image for used in record.references]
    return [await rag.dependencies.blobs.get(image.sha256) for image in images]


async def test_without_the_web_there_is_nothing_to_draw_it_with(home: Path) -> None:
    record = await ImageRAG(preset="sketch", home=home).generate(DOTTED_HEXAGON, seed=3)
    assert record.outcome is Outcome.NO_USABLE_REFERENCE


def test_the_command_line_keeps_what_helped(imagerag: Imagerag, server: SearchServer, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.png").write_bytes(drawn_circle())
    (tmp_path / "own" / "a.txt").write_text("a red circle")
    assert imagerag("index", tmp_path / "own", "--library", "mine", "--embedder", "sketch").exit_code == 0
    both = f"mine,{server.library}"
    dry = imagerag("generate", DOTTED_HEXAGON, "--library", both, "--dry-run")
    assert "is sent the words for what is missing" in " ".join(dry.stdout.split())
    assert server.asked == []
    options = ("--library", both, "--threshold", "0.35", "--seed", "3")
    result = imagerag("generate", DOTTED_HEXAGON, *options, "--keep-web")
    assert result.exit_code == 0, result.stderr
    assert "https://example.org/hexagon" in result.stdout
    assert "1 image from the web is in library mine" in result.stderr
    rag = ImageRAG(preset="sketch", library="mine")
    (kept,) = rag.libraries.select_sync(filter="service = http")
    assert (kept.licence, kept.author, kept.source) == ("CC-BY-4.0", "Ann", "https://example.org/hexagon")
    assert kept.metadata["image_url"] == f"{server.at}/hexagon.png"
    server.stop()
    again = imagerag("generate", DOTTED_HEXAGON, "--library", "mine", "--threshold", "0.35", "--seed", "3", "--json")
    assert document(again)["outcome"] == "aligned", "the library has it now"


@pytest.fixture
def mine(imagerag: Imagerag, tmp_path: Path) -> str:
    """The name of a library of the user's own with one image."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.png").write_bytes(drawn_circle())
    assert imagerag("index", tmp_path / "own", "--library", "mine", "--embedder", "sketch").exit_code == 0
    return "mine"


def kept_from_web(library: str) -> int:
    """How many images of a library are from the web; they are removed from it."""
    rag = ImageRAG(preset="sketch", library=library)
    images = rag.libraries.select_sync(filter="service = http")
    if images:
        rag.libraries.remove_sync(*[image.id for image in images])
    return len(images)


def test_a_search_goes_on_without_a_service_that_is_down(imagerag: Imagerag, server: SearchServer) -> None:
    server.stop()
    both = imagerag("search", DOTTED_HEXAGON, "--library", f"sketch,{server.library}", "-k", "3")
    assert both.exit_code == 0
    assert "connection attempts failed" in both.stderr
    found = document(imagerag("search", DOTTED_HEXAGON, "--library", f"sketch,{server.library}", "-k", "3", "--json"))
    assert len(found["results"]) == 3
    (error,) = found["service_errors"]
    assert error.startswith(f"{server.library} found nothing")
    own = document(imagerag("search", DOTTED_HEXAGON, "--library", "sketch", "-k", "3", "--json"))
    assert [one["id"] for one in own["results"]] == [one["id"] for one in found["results"]]
    assert own["service_errors"] == []
    alone = imagerag("search", DOTTED_HEXAGON, "--library", server.library)
    assert (alone.exit_code, alone.stdout) == (1, "")
    assert "connection attempts failed" in alone.stderr


@pytest.mark.parametrize(("library", "spec"), [
    ("sketch,openverse", "web:openverse"), ("commons", "web:commons"), ("sketch,Brave", "web:Brave"),
])  # fmt: skip
def test_a_service_without_its_prefix_is_suggested_with_it(imagerag: Imagerag, library: str, spec: str) -> None:
    for command in (("search", "x"), ("generate", "x"), ("ask", "x")):
        result = imagerag(*command, "--library", library)
        assert result.exit_code == 2
        assert f"--library NAME,{spec}" in " ".join(result.stderr.split())
    other = imagerag("search", "x", "--library", "sketch,opensesame")
    assert "web:" not in other.stderr


def test_runs_that_go_on_and_batches_keep_what_helped_too(
    imagerag: Imagerag, server: SearchServer, mine: str, tmp_path: Path
) -> None:
    options = ("--library", f"{mine},{server.library}", "--threshold", "0.35", "--seed", "3")
    waiting = document(imagerag("generate", DOTTED_HEXAGON, *options, "--select", "--json"))
    resumed = imagerag("resume", waiting["run_id"], "--select", "1", "--keep-web")
    assert "1 image from the web is in library mine" in resumed.stderr, resumed.stderr
    assert kept_from_web(mine) == 1
    continued = imagerag("continue", waiting["run_id"], "--prompt", f"{DOTTED_HEXAGON} ", "--keep-web", "--json")
    assert kept_from_web(mine) == len(document(continued)["references"]) == 1, continued.stderr
    (tmp_path / "prompts.jsonl").write_text(json.dumps({"prompt": DOTTED_HEXAGON, "seed": 3}) + '\n"a red circle"\n')
    batch = ("batch", "prompts.jsonl", "--out", "out", *options[:4], "--preset", "sketch", "-q")
    assert imagerag(*batch).exit_code == 0
    before = kept_from_web(mine)
    assert imagerag(*batch, "--resume", "--keep-web").exit_code == 0
    assert kept_from_web(mine) == 1, f"those of an earlier start too ({before} before)"


def test_each_line_of_a_batch_keeps_what_helped_in_its_own_library(
    imagerag: Imagerag, server: SearchServer, mine: str, tmp_path: Path
) -> None:
    lines = [
        {"prompt": DOTTED_HEXAGON, "seed": 3, "library": f"{mine},{server.library}", "threshold": 0.35},
        {"prompt": "a red circle", "library": mine, "max_rounds": 0},
    ]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    usual = ("--library", f"sketch,{server.library}", "--preset", "sketch")
    result = imagerag("batch", "prompts.jsonl", "--out", "out", *usual, "--keep-web")
    assert result.exit_code == 0, result.stderr
    assert kept_from_web(mine) == 1


@pytest.mark.parametrize(
    ("library", "of_a_line", "why"),
    [
        ("sketch", "web:openverse", "line 2: there is no library of yours"),
        ("mine,web:openverse", "sketch,web:openverse", "line 2: 'sketch' is the built-in catalogue"),
        ("web:openverse", "mine", "imagerag: there is no library of yours"),
        ("mine", "mine", "the web is not searched: --library mine,web:openverse"),
    ],
)
def test_the_library_of_every_line_is_looked_at_before_a_batch_begins(
    imagerag: Imagerag, mine: str, tmp_path: Path, library: str, of_a_line: str, why: str
) -> None:
    (tmp_path / "prompts.jsonl").write_text('"a cat"\n' + json.dumps({"prompt": "a dog", "library": of_a_line}))
    for more in ((), ("--dry-run",)):
        result = imagerag("batch", "prompts.jsonl", "--out", "out", "--library", library, "--keep-web", *more)
        assert result.exit_code == 2
        assert why in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [("resume",), ("continue",)])
def test_a_run_without_the_web_has_nothing_to_keep(imagerag: Imagerag, mine: str, command: tuple[str, ...]) -> None:
    run = document(imagerag("generate", "a red circle", "--library", mine, "--max-rounds", "0", "--json"))["run_id"]
    result = imagerag(*command, run, "--keep-web")
    assert result.exit_code == 2
    assert "the web is not searched" in result.stderr


@pytest.mark.parametrize(("library", "code"), [("mine,web:openverse", 0), ("sketch,web:openverse", 2), ("mine", 2)])
def test_a_run_that_goes_on_with_another_library_keeps_it_there(
    imagerag: Imagerag, mine: str, library: str, code: int
) -> None:
    run = document(imagerag("generate", "a red circle", "--library", mine, "--max-rounds", "0", "--json"))["run_id"]
    options = ("--feedback", "make it blue", "--library", library, "--keep-web", "--dry-run")
    assert imagerag("continue", run, *options).exit_code == code


def drawn_circle() -> bytes:
    from imagerag.tools.sketch.world import Thing

    return drawn(Thing("circle", "red", "solid"))


@pytest.mark.parametrize(
    ("library", "why"),
    [
        ("sketch,web:openverse", "built-in catalogue"),
        ("web:openverse", "no library of yours"),
        ("mine", "the web is not searched"),
    ],
)
def test_there_must_be_a_library_to_keep_it_in(imagerag: Imagerag, library: str, why: str) -> None:
    for more in ((), ("--dry-run",)):
        result = imagerag("generate", "x", "--library", library, "--keep-web", *more)
        assert result.exit_code == 2
        assert why in result.stderr


async def test_what_is_kept_is_of_runs_that_ended(rag: ImageRAG) -> None:
    record = await rag.generate(DOTTED_HEXAGON, seed=3, select=True)
    with pytest.raises(RunStateError, match="has not ended"):
        await rag.libraries.keep_web(record)
    ended = await rag.runs.resume(record.run_id, choose=[1])
    with pytest.raises(UsageError, match="built-in catalogue"):
        await rag.libraries.keep_web(ended)


def test_a_search_of_the_web_says_whose_each_image_is(
    imagerag: Imagerag, server: SearchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searches, "RETRY_S", 0.0)
    both = imagerag("search", DOTTED_HEXAGON, "--library", f"sketch,{server.library}", "--json")
    first = document(both)["results"][0]
    assert (first["library"], first["accepted"], first["source"]) == (
        server.library, True, "https://example.org/hexagon",
    )  # fmt: skip
    assert first["metadata"]["service"] == "http"
    none_passes = f"sketch,web:http?threshold=0.9@{server.at}/search"
    below = document(imagerag("search", DOTTED_HEXAGON, "--library", none_passes, "--json"))["results"]
    assert not any(one["accepted"] for one in below)
    assert [one["id"] for one in below] == list(dict.fromkeys(one["id"] for one in below))
    margins = [one["similarity"] - one["threshold"] for one in below]
    assert margins == sorted(margins, reverse=True), "what is far from its threshold hides nothing that is near"
    alone = imagerag("search", DOTTED_HEXAGON, "--library", f"web:http?embedder=sketch@{server.at}/search")
    assert alone.exit_code == 0, alone.stderr
    assert "by Ann: https://example.org/hexagon" in alone.stdout
    server.asked.clear()
    for query in ("a red circle", "something round and red"):  # the second in the encoder's own words
        known = imagerag("search", query, "--library", f"sketch,{server.library}", "--json")
        assert document(known)["results"][0]["accepted"]
        assert server.asked == []


async def test_a_question_is_answered_from_ones_own_library(rag: ImageRAG, server: SearchServer) -> None:
    assert (await rag.ask("what does Widget A cost?")).answer
    assert server.asked == []
    alone = ImageRAG(preset="sketch", home=rag.dependencies.home.root, library=f"web:http?embedder=sketch@{server.at}")
    with pytest.raises(UsageError, match="from a library of yours"):
        await alone.ask("what does Widget A cost?")


async def test_an_assistant_turns_no_service_on(home: Path, rag: ImageRAG, server: SearchServer) -> None:
    off = ChatService(ImageRAG(preset="sketch", home=home, library="sketch"))
    named = f"sketch,{server.library}"
    for answer in (
        await off.generate_image(GenerateImage(prompt=DOTTED_HEXAGON, library=named)),
        await off.search_references(SearchReferences(query=DOTTED_HEXAGON, library=named)),
    ):
        assert answer.is_error
        assert "Only the user turns one on" in answer.text
    assert server.asked == []
    on = ChatService(rag)
    drawn_now = await on.generate_image(GenerateImage(prompt=DOTTED_HEXAGON))
    assert drawn_now.data["references"][0]["source"] == "https://example.org/hexagon"
    assert "found on the web by http: https://example.org/hexagon" in drawn_now.text
    assert (await on.search_references(SearchReferences(query=DOTTED_HEXAGON, library=named))).is_error is False


def test_a_file_that_is_not_trusted_turns_no_service_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("imagerag.toml").write_text('library = "sketch,web:openverse"\n')
    assert resolve(preset="sketch").library == "sketch"


def test_a_line_of_a_batch_turns_no_service_on(imagerag: Imagerag, server: SearchServer, tmp_path: Path) -> None:
    line = {"prompt": DOTTED_HEXAGON, "library": f"sketch,{server.library}"}
    (tmp_path / "in.jsonl").write_text(json.dumps(line) + "\n")
    result = imagerag("batch", tmp_path / "in.jsonl", "--out", tmp_path / "out", "--library", "sketch")
    assert result.exit_code != 0
    assert server.asked == []
    assert "Only the user turns one on" in result.stdout + result.stderr


@pytest.mark.parametrize("own", [None, "a", "a,web:commons"])
def test_services_are_the_users_to_name(own: str | None) -> None:
    with pytest.raises(UntrustedError):
        check_web_library("a,web:openverse", own, "a line")
    check_web_library("a,b", own, "a line")
    check_web_library(own, own, "a line")


def test_a_password_in_an_address_is_kept_nowhere(home: Path, server: SearchServer) -> None:
    spec = f"sketch,web:http@http://me:hunter2@127.0.0.1:{server.port}/search?api_key=k3y"
    rag = ImageRAG(preset="sketch", home=home, library=spec)
    record: Any = rag.generate_sync(DOTTED_HEXAGON, seed=3)
    assert record.outcome is Outcome.ALIGNED
    assert server.headers[0]["authorization"].startswith("Basic ")
    assert server.queries()[0]["api_key"] == "k3y"
    assert "authorization" not in server.headers[1]
    assert "hunter2" not in record.model_dump_json()
    assert "k3y" not in record.model_dump_json()


async def test_an_image_that_is_known_is_not_searched_for(rag: ImageRAG, server: SearchServer) -> None:
    (known,) = await rag.libraries.search("a red circle", library="sketch", k=1)
    record = await rag.generate("the same in blue", edit_library=known.image.sha256, max_rounds=0)
    assert [used.role for used in record.attempts[0].references] == ["edit"]
    assert server.asked == []


async def test_a_candidate_from_the_web_is_drawn_with_when_a_person_says_so(
    rag: ImageRAG, server: SearchServer
) -> None:
    record = await rag.generate(DOTTED_HEXAGON, seed=3, threshold=0.9)
    assert record.outcome is Outcome.NO_USABLE_REFERENCE
    (found_on_web,) = {c.image.sha256 for search in record.searches for c in search.candidates if c.web}
    server.stop()
    again = await rag.runs.continue_(record.run_id, add_images=[found_on_web], more_rounds=1)
    used = next(used for used in again.attempts[-1].references if used.image.sha256 == found_on_web)
    assert used.web is not None
    assert used.web.page == "https://example.org/hexagon"


def test_sheets_and_pages_show_images_from_the_web(imagerag: Imagerag, server: SearchServer, tmp_path: Path) -> None:
    files = ("--html", tmp_path / "found.html", "--sheet", tmp_path / "found.png")
    for library in (f"sketch,{server.library}", f"web:http?embedder=sketch@{server.at}/search"):
        result = imagerag("search", DOTTED_HEXAGON, "--library", library, *files, "--overwrite")
        assert result.exit_code == 0, result.stderr
        assert "https://example.org/hexagon" in (tmp_path / "found.html").read_text()
    chosen = imagerag("generate", DOTTED_HEXAGON, "--library", f"sketch,{server.library}", "--seed", "3", "--select")
    assert chosen.exit_code == 0, chosen.stderr
    assert "by Ann" in chosen.stdout
    assert "  1  http: https://example.org/hexagon\n" in chosen.stdout, "an address is on a line of its own"
    rounds = imagerag("show", "last", "--rounds").stdout
    assert "    found on the web by http: https://example.org/hexagon\n" in rounds


def test_each_of_several_images_from_the_web_is_told_with_its_page() -> None:
    web = [
        WebProvenance(service="http", page=page, url="https://example.org/a.png") for page in ("https://x.org/a", "")
    ]
    image = ImageRef(sha256="0" * 64, media_type="image/png", width=9, height=9)
    used = [
        UsedReference(image=image, concept="a heart", title=f"Heart {n}", source=one.page, web=one)
        for n, one in enumerate(web)
    ]
    lines = [click.unstyle(line).strip() for line in reference_lines(used)]
    assert lines[-2:] == ["Heart 0: found on the web by http: https://x.org/a", "Heart 1: found on the web by http"]
    assert click.unstyle(reference_lines(used[:1])[-1]).strip() == "found on the web by http: https://x.org/a"


async def test_a_human_is_asked_with_author_and_page(rag: ImageRAG) -> None:
    from imagerag.mcp.elicitation import question

    waiting = await ChatService(rag).generate_image(GenerateImage(prompt=DOTTED_HEXAGON, select=True))
    asked = question(waiting)
    assert "https://example.org/hexagon" in asked
    assert "Ann" in asked
    assert "https://example.org/hexagon" in waiting.text
