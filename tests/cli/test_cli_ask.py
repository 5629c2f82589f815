"""`imagerag ask` and `rag.ask` on the embedded catalogue; what is right is read from the catalogue itself."""

import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result
from PIL import Image

from imagerag import ImageRAG
from imagerag.agent.errors import UnknownThreadError, UsageError
from imagerag.agent.qa.types import AnswerOutcome
from imagerag.cli.ask import answer_lines
from imagerag.formatting.interface_terms import python_call
from imagerag.reports.contact_sheet.layout import ACCENT
from imagerag.tools.sketch.catalogue import Product, products
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse

Imagerag = Callable[..., Result]


def best(of: Callable[[Product], bool], *, highest: bool) -> Product:
    return sorted(filter(of, products()), key=lambda p: -p.price if highest else p.price)[0]


@pytest.fixture
def rag(home: Path) -> ImageRAG:
    return ImageRAG(preset="sketch", home=home)


@pytest.mark.parametrize(
    ("question", "product"),
    [
        ("What is the most expensive product?", best(lambda p: True, highest=True)),
        ("Which is the cheapest circular one?", best(lambda p: p.thing.shape == "circle", highest=False)),
        (
            "Is there anything purple or blue, and which is cheaper?",
            best(lambda p: p.thing.colour in ("purple", "blue"), highest=False),
        ),
    ],
)
def test_superlatives_are_of_the_whole_library(imagerag: Imagerag, question: str, product: Product) -> None:
    result = imagerag("ask", question, "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    first = record["citations"][0]
    assert (record["schema"], record["outcome"], record["in_library"]) == ("imagerag.answer/1", "answered", True)
    assert (first["title"], first["licence"]) == (product.name, product.licence)
    assert str(product.price).rstrip("0").rstrip(".") in first["supports"]
    assert f"{product.name} [1]" in record["answer"]
    assert isinstance(first["similarity"], float)
    assert record["cost_usd"] == 0.0


def test_a_choice_names_the_first_of_each_side(rag: ImageRAG) -> None:
    record = rag.ask_sync("Is there anything purple or blue, and which is cheaper?")
    for colour in ("purple", "blue"):
        cheapest = best(lambda p, colour=colour: p.thing.colour == colour, highest=False)  # type: ignore[misc]
        assert cheapest.name in record.answer
        assert cheapest.name in {one.title for one in record.citations}


def test_everything_striped_is_everything_striped(rag: ImageRAG) -> None:
    record = rag.ask_sync("Show me everything striped")
    striped = {p.name for p in products() if p.thing.pattern == "striped"}
    assert {one.title for one in record.citations} == striped
    assert record.answer.startswith(f"{len(striped)} images with pattern striped: ")


def test_a_black_hexagon_does_not_exist_and_it_says_so(imagerag: Imagerag) -> None:
    assert not [p for p in products() if (p.thing.shape, p.thing.colour) == ("hexagon", "black")]
    result = imagerag("ask", "What does the black hexagonal product cost?")
    assert result.exit_code == 3
    assert "of 152 images none has colour black and shape hexagon" in " ".join(result.stdout.split())
    record = json.loads(imagerag("ask", "What does the black hexagonal product cost?", "--json").stdout)
    assert (record["outcome"], record["in_library"], record["citations"]) == ("not_held", False, [])
    assert "$" not in record["answer"]


def test_a_follow_up_asks_on_in_another_process(imagerag: Imagerag) -> None:
    first = json.loads(imagerag("ask", "purple circles or blue squares", "--json").stdout)
    assert first["turn"] == 1
    spoken = {one["title"] for one in first["citations"]}
    result = imagerag("ask", "and which of those is cheaper?", "--thread", first["thread_id"], "--json")
    record = json.loads(result.stdout)
    cheapest = best(lambda p: p.name in spoken, highest=False)
    assert (record["turn"], record["citations"][0]["title"]) == (2, cheapest.name)
    assert "only what the answer before spoke of was looked at" in record["answer"]


def test_a_follow_up_is_asked_of_the_library_of_its_thread(imagerag: Imagerag, rag: ImageRAG) -> None:
    rag.libraries.open_sync("own", create=True)
    asked = ("ask", "purple circles", "--thread", "mine")
    assert imagerag(*asked, "--library", "own").exit_code == 3
    again = imagerag(*asked)
    assert (again.exit_code, "library own · answered by" in again.stderr) == (3, True)
    assert rag.ask_sync("and which is cheaper?", thread="mine").library == "own"
    assert rag.ask_sync("purple circles", thread="mine", library="sketch").library == "sketch"
    assert rag.ask_sync("and which is cheaper?", thread="mine").library == "sketch"
    assert rag.ask_sync("purple circles", thread="another").library == "sketch"


def test_a_thread_of_ones_own_name_says_when_it_begins(imagerag: Imagerag) -> None:
    asked = ["ask", "purple circles or blue squares", "--thread", "mine"]
    assert "· new thread mine" in imagerag(*asked).stdout
    record = json.loads(imagerag(*asked, "--json").stdout)
    assert (record["thread_id"], record["turn"], record["new_thread"]) == ("mine", 2, False)
    mistyped = json.loads(imagerag(*asked[:-1], "mien", "--json").stdout)
    assert (mistyped["turn"], mistyped["new_thread"]) == (1, True)
    assert "· thread mine" in imagerag(*asked).stdout


async def test_a_follow_up_in_a_thread_that_there_is_not_is_refused(rag: ImageRAG) -> None:
    with pytest.raises(UnknownThreadError, match=r"no thread 'mien': leave it out"):
        await rag.ask("and which is cheaper?", thread="mien", follow_up=True)
    first = await rag.ask("purple circles or blue squares", follow_up=True)
    again = await rag.ask("and which is cheaper?", thread=first.thread_id, follow_up=True)
    assert (first.new_thread, again.new_thread, again.turn) == (True, False, 2)


def test_filters_hold(imagerag: Imagerag) -> None:
    record = json.loads(
        imagerag("ask", "the most expensive?", "--licence", "CC0-1.0", "--filter", "shape=star", "--json").stdout
    )
    stars = best(lambda p: p.thing.shape == "star" and p.licence == "CC0-1.0", highest=True)
    assert record["citations"][0]["title"] == stars.name
    assert {one["licence"] for one in record["retrieved"]} == {"CC0-1.0"}


def test_quotes_and_sql_are_values(imagerag: Imagerag) -> None:
    result = imagerag("ask", "the cheapest '; DROP TABLE--", "--filter", 'shape="\' OR 1=1 --"', "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["retrieved"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["   "], "the question is empty"),
        (["?" * 9], "the question is empty"),
        (["why " * 25_000], "100000 characters; at most 4000"),
        (["a\0b"], "NUL byte"),
        (["what?", "--thread", "../x"], "thread's id"),
        (["what?", "--library", "nowhere"], "nowhere"),
        (["what?", "--answerer", "nobody"], "no answerer 'nobody'; there are: "),
        (["what?", "--answerer", "metadata?x=1"], "x"),
        (["what?", "--sheet", "a.gif"], "ends in .png"),
        (["what?", "-k", "0"], "-k"),
        (["what?", "--deadline-s", "-1"], "--deadline-s: more than 0"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(imagerag: Imagerag, arguments: list[str], words: str) -> None:
    result = imagerag("ask", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_compare_and_sheet(imagerag: Imagerag, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    result = imagerag("ask", "Which is the cheapest circular one?", "--compare", "--sheet", sheet)
    assert result.exit_code == 0
    assert "without the library" in result.stdout
    assert str(sheet) in result.stdout
    with Image.open(sheet) as page:
        assert page.width == 2400
        assert ACCENT in {color for _, color in page.getcolors(1 << 24) or ()}


async def test_a_sheet_needs_no_library_any_more(rag: ImageRAG) -> None:
    record = await rag.ask("Which is the cheapest circular one?")
    gone = record.model_copy(update={"library": "removed", "question": "x" * 3_000, "answer": "word " * 400})
    data = await rag.questions.contact_sheet(gone)
    assert Image.open(io.BytesIO(data)).width == 2400
    failed = record.model_copy(update={"retrieved": [], "citations": [], "outcome": AnswerOutcome.FAILED, "answer": ""})
    assert await rag.questions.contact_sheet(failed)


def test_an_openai_judge_answers_over_http(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-loopback")
    answer = {"citations": [{"source": 1, "supports": "price 120.49"}], "held": True, "answer": "Medic Kit 4 [1]."}
    with MockOpenAIServer() as server:
        server.enqueue("chat", MockResponse(text=json.dumps(answer)), MockResponse(text="A watch."))
        rag = ImageRAG(preset="sketch", judge=f"openai:loopback@{server.base_url}", home=home)
        record = rag.ask_sync("What is the most expensive product?", compare=True, k=4)
        assert server.count() == 2
        assert len(server.requests[0].images) == 4
    assert (record.outcome, record.cost_usd) == (AnswerOutcome.ANSWERED, 0.0)
    assert [one.title for one in record.citations] == [best(lambda p: True, highest=True).name]
    assert record.baseline_answer is not None
    assert record.baseline_answer.answer == "A watch."


async def test_many_ask_at_once(rag: ImageRAG) -> None:
    questions = [f"the cheapest {shape}" for shape in ("circle", "star", "heart", "bolt")] * 3
    records = await asyncio.gather(*(rag.ask(question) for question in questions))
    assert all(record.outcome is AnswerOutcome.ANSWERED for record in records)
    assert len({record.thread_id for record in records}) == len(questions)


async def test_without_a_library_there_is_nobody_to_ask(home: Path) -> None:
    rag = ImageRAG(preset="local", home=home)
    with pytest.raises(UsageError, match="which library"):
        await rag.ask("what?")


def test_a_command_in_a_note_stands_on_a_line_of_its_own(rag: ImageRAG) -> None:
    record = rag.ask_sync("What is the most expensive product?")
    call = python_call("libraries.migrate", "mine", embedder="open_clip:ViT-B-32-SigLIP2-256/webli")
    lines = list(answer_lines(record.model_copy(update={"notes": [f"{'little will be found; ' * 3}{call}"]})))
    assert "imagerag library migrate mine --embedder open_clip:ViT-B-32-SigLIP2-256/webli" in [
        click.unstyle(line).strip() for line in lines
    ]
