"""The report: what it says, of every outcome; that it needs nothing; that nothing gets out of its text."""

import re
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from imagerag import ImageRAG
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import (
    Attempt,
    Candidate,
    Concept,
    ImageRef,
    ModelCall,
    Query,
    Requirement,
    RequirementCheck,
    Search,
    TrackedConcept,
    UsedReference,
    Verdict,
)
from imagerag.formatting.html.templating import environment
from imagerag.formatting.numbers import cosine
from imagerag.graphs.runs.history import Change, Step
from imagerag.reports.html.image_gallery import Gallery
from imagerag.reports.html.run_page import TEMPLATES, report
from tests.reports.conftest import HOSTILE, RUNS

OURS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "section", "article", "aside", "figure", "div",
    "span", "p", "h1", "h2", "h3", "h4", "b", "i", "strong", "small", "code", "pre", "a", "img", "ul", "ol", "li", "dl",
    "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "ins", "del",
}  # fmt: skip
"""The elements that a report is made of. Script is not among them."""


class Reader(HTMLParser):
    """Reads a page as a browser does: elements with their attributes, and the text outside of styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "elements are closed in order"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def assert_self_contained(page: str) -> Reader:
    """Nothing is fetched, nothing is run."""
    read = Reader(page)
    assert read.open == []
    for tag, attributes in read.elements:
        assert tag in OURS
        assert not any(name.startswith("on") for name in attributes)
        for name in {"src", "href", "srcset", "action", "data"} & attributes.keys():
            assert re.fullmatch(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", attributes[name] or ""), attributes[name]
        assert "url(" not in (attributes.get("style") or "")
    style = page.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in str(read.elements)
    return read


SAID: dict[str, tuple[str, ...]] = {
    "aligned": ("The judge found all 2 requirements in attempt 2", "Heart 0", "taken", "8 candidates, 5 passed"),
    "best_effort": ("Still missing after 3 rounds", "sent before without helping", "unresolved"),
    "no_usable_reference": (
        "No usable reference for a hexagon",
        "Nothing was found.",
        "rag.libraries.index(PATH, library=",
    ),
    "refused": ("The service refuses", "No image was drawn.", "change the prompt"),
    "budget_exhausted": ("The run may make 2 model calls", "budget spent", "max_calls"),
    "judge_unavailable": ("the judge gave no verdict", "I am sorry", "judge=SPEC"),
    "failed": ("critique failed: ValueError: something broke", "failed"),
    "cancelled": ("Cancelled by the caller", "1 of 2 met"),
    "interrupted": ("the run waits for you to choose its references", "offered to be chosen", "choose=[1, 2]"),
    "killed": ("the run has not finished", "not finished: here the run stands", "rag.runs.resume("),
}
"""What a reader must find in the report of each."""


@pytest.mark.parametrize("name", RUNS)
async def test_a_report_answers_what_a_reader_asks(rag: ImageRAG, name: str) -> None:
    page = await rag.runs.report(name)
    read = assert_self_contained(page)
    for said in (*SAID[name], "What was searched for?", "What was found and not used, and why?", "What did it cost?"):
        assert said in read.words, said
    record = await rag.runs.get(name)
    assert [
        a for t, a in read.elements if t == "article" and "attempt" in (a.get("class") or "").split()
    ].__len__() == len(record.attempts)
    assert f"{sum(record.calls.values())} model call" in read.words
    assert page == await rag.runs.report(record), "the same run gives the same page"


async def test_every_step_is_there_with_its_number_and_what_was_said(rag: ImageRAG) -> None:
    steps, read = await rag.runs.steps("judge_unavailable"), Reader(await rag.runs.report("judge_unavailable"))
    for step in steps:
        assert f"{step.index}" in read.words
        for call in step.calls:
            assert call.role in read.words
    assert HOSTILE.replace("\u202e", "") in read.text, "the model's own words, as they were"


async def test_the_threshold_and_each_similarity_are_drawn_to_one_scale(rag: ImageRAG) -> None:
    read = Reader(await rag.runs.report("aligned"))
    widths = [
        float(a["style"][6:-1]) for t, a in read.elements if t == "i" and (a.get("style") or "").startswith("width:")
    ]
    lines = [
        float(a["style"][5:-1]) for t, a in read.elements if t == "b" and (a.get("style") or "").startswith("left:")
    ]
    found = [c.similarity for c in (await rag.runs.get("aligned")).searches[0].candidates]
    assert widths[: len(found)] == pytest.approx([100 * similarity / (0.9 * 1.08) for similarity in found], abs=0.1)
    assert set(lines) == {round(100 * 0.5 / (0.9 * 1.08), 1)}


def photo(number: int, side: int = 1024) -> bytes:
    """A picture with as much in it as a detailed photograph."""
    noise = Image.effect_noise((side // 8, side // 8), 60 + number).resize((side, side))
    out = BytesIO()
    Image.merge("RGB", [noise, noise.rotate(90), noise.rotate(180)]).save(out, "PNG", compress_level=1)
    return out.getvalue()


def image(number: int) -> ImageRef:
    return ImageRef(sha256=f"{number:064x}", media_type="image/png", width=1024, height=1024)


def long_run(text: str = "a thing", *, attempts: int = 8) -> RunRecord:
    """A run of that many attempts, three concepts and a dozen candidates in each round, everything named `text`."""
    checks = tuple(
        RequirementCheck(requirement=Requirement(text=text), met=n % 2 == 0, evidence=text) for n in range(4)
    )
    verdict = Verdict(aligned=False, score=0.5, checks=checks, reason=text, raw=text)
    found = tuple(
        Candidate(image=image(n), similarity=0.9 - n / 20, decision="below_threshold", title=text, source=text)
        for n in range(12)
    )
    sent = UsedReference(image=image(3), concept=text, similarity=0.5, title=text, author=text, licence=text)
    concept = Concept(text=text)
    return RunRecord(
        run_id="long",
        status="ended",
        prompt=text,
        outcome="best_effort",
        reason=text,
        best_attempt=0,
        attempts=[
            Attempt(
                index=n, round=n, prompt=text, image=image(n), references=(sent,), verdict=verdict, revised_prompt=text
            )
            for n in range(attempts)
        ],
        searches=[
            Search(round=n, query=Query(concept=concept, text=text, note=text), candidates=found, threshold=0.7)
            for n in range(1, attempts)
            for _ in range(3)
        ],
        concepts=[TrackedConcept(concept=concept, first_missing_round=0, references=(sent,))],
        unresolved=[text],
        next_steps=[text],
        calls={text or "x": 3},
    )


def test_eight_attempts_at_photographs_are_under_five_megabytes() -> None:
    photos = {f"{number:064x}": photo(number) for number in range(12)}
    page = report(long_run(), [], photos.__getitem__)
    assert page.count("data:image/jpeg") > 8 + 7 * 3 * 12
    assert len(page.encode()) < 5_000_000


def test_pictures_that_do_not_fit_any_more_are_left_out() -> None:
    gallery = Gallery(lambda _: photo(1, 512), room=500_000)
    picture = environment(TEMPLATES).get_template("parts.html").module.image_box
    shown = [picture(gallery.large(image(number)), image(number), "x") for number in range(40)]
    assert "data:image/jpeg" in shown[0]
    assert "image not available" in shown[-1]
    assert sum(map(len, shown)) < 520_000


@pytest.mark.parametrize("data", [b"", b"not an image", photo(1, 64)[:200]], ids=["empty", "text", "cut"])
def test_a_picture_that_is_none_leaves_a_frame(data: bytes) -> None:
    assert_self_contained(page := report(long_run(attempts=1), [], lambda _: data))
    assert "image not available" in page


ODD = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [HOSTILE, "</style><script>x</script>", "<!--", "]]>", "\x00", "\ud800", "絵 🦓", "&lt;", "{}", "'\"`="]
    ),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ODD, ODD)
def test_no_text_gets_out_of_its_place(text: str, other: str) -> None:
    step = Step(
        index=1,
        superstep=1,
        node=other,
        status="failed",
        before=text,
        error=other,
        changes={other: Change(text, {other: [text]})},
        calls=(ModelCall(role=text, backend=other, elapsed_s=1, raw_response=text, error=other),),
        next=(text,),
    )
    run = long_run(text, attempts=2)
    page = report(run, [step], lambda _: b"")
    plain = report(long_run("x", attempts=2), [step], lambda _: b"")
    read = assert_self_contained(page)
    page.encode()
    assert {tag for tag, _ in read.elements} <= {tag for tag, _ in Reader(plain).elements} | {"p", "pre"}


def test_state_differences_name_only_what_differs() -> None:
    from imagerag.reports.html.trace import differences

    before: Any = {"a": [{"x": 1, "y": 2}], "b": "same"}
    after: Any = {"a": [{"x": 1, "y": 3}, {"x": 4}], "b": "same", "c": None}
    assert list(differences(before, after, "s")) == [("s.a[0].y", 2, 3), ("s.a[1]", None, {"x": 4})]


@pytest.mark.parametrize(("value", "shown"), [(-0.0004, "0.000"), (-0.0006, "-0.001"), (0.4114, "0.411")])
def test_no_cosine_is_shown_as_minus_nothing(value: float, shown: str) -> None:
    assert cosine(value) == shown


@pytest.mark.parametrize(("length", "is_long"), [(300, False), (301, True)])
def test_a_long_prompt_is_no_page_of_large_letters(length: int, is_long: bool) -> None:
    shown = str(environment(TEMPLATES).get_template("parts.html").module.heading("<" * length))
    assert ('class="long" tabindex="0"' in shown) == is_long
    assert shown.count("&lt;") == length
