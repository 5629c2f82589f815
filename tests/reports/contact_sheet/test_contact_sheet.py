"""The contact sheet: made of made-up runs, with pictures of one colour each, so that they can be found on the page."""

import hashlib
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from imagerag.agent.errors import BlobError
from imagerag.agent.types import (
    Attempt,
    Candidate,
    Concept,
    Decision,
    ImageRef,
    Outcome,
    Query,
    Requirement,
    RequirementCheck,
    Search,
    UsedReference,
    Verdict,
)
from imagerag.reports.contact_sheet.canvas import measure, plain, wrap
from imagerag.reports.contact_sheet.layout import ACCENT
from imagerag.reports.contact_sheet.run_sheet import contact_sheet, rows_of

RED, BLUE, LIME, PINK = (230, 10, 20), (20, 30, 240), (120, 250, 5), (250, 90, 200)
BLOBS: dict[str, bytes] = {}
PROMPT = "a cradle beside a bag with yellow zigzags"


def picture(color: tuple[int, int, int], size: tuple[int, int] = (64, 48), mode: str = "RGB") -> ImageRef:
    out = BytesIO()
    Image.new("RGB", size, color).convert(mode).save(out, "PNG")
    name = hashlib.sha256(out.getvalue()).hexdigest()
    BLOBS[name] = out.getvalue()
    return ImageRef(sha256=name, media_type="image/png", width=size[0], height=size[1])


def load(sha256: str) -> bytes:
    return BLOBS[sha256]


def verdict(*met: bool, text: str = "a bag", evidence: str = "0.21") -> Verdict:
    checks = tuple(
        RequirementCheck(requirement=Requirement(text=f"{text} {n}"), met=m, evidence=evidence)
        for n, m in enumerate(met)
    )
    return Verdict(aligned=all(met), score=sum(met) / len(met), checks=checks)


def reference(color: tuple[int, int, int] = LIME) -> UsedReference:
    return UsedReference(
        image=picture(color), concept="a bag", similarity=0.3, title="Tote", author="Ann", licence="CC0"
    )


def attempt(number: int, color: tuple[int, int, int], judged: Verdict | None, *used: UsedReference) -> Attempt:
    return Attempt(index=number, round=number, prompt=PROMPT, image=picture(color), references=used, verdict=judged)


def search(number: int, *found: Candidate, text: str = "a bag", threshold: float | None = 0.26) -> Search:
    query = Query(concept=Concept(text=text), text=text)
    return Search(round=number, query=query, candidates=found, threshold=threshold)


def candidates(count: int) -> list[Candidate]:
    decisions: list[Decision | None] = [
        "taken",
        "near_duplicate",
        "reserve",
        "already_used",
        "rejected_by_hand",
        "rejected_by_reranker",
        "offered",
        None,
        *["below_threshold"] * 10,
    ]
    return [
        Candidate(image=picture(LIME), similarity=0.4 - place / 50, decision=decisions[place]) for place in range(count)
    ]


def record(
    attempts: list[Attempt], searches: list[Search], outcome: str | None = "aligned", **more: Any
) -> dict[str, Any]:
    """A run's record as `--json` prints it: everything JSON."""
    return {
        "prompt": PROMPT,
        "outcome": outcome,
        "reason": "the judge found everything",
        "best_attempt": attempts[-1].index if attempts else None,
        "attempts": [a.model_dump(mode="json") for a in attempts],
        "searches": [s.model_dump(mode="json") for s in searches],
        "calls": {"generator.generate": 2, "judge.critique": 2},
        "cost_usd": None,
        "elapsed_s": 1.25,
    } | more


def share(sheet: Image.Image, color: tuple[int, int, int]) -> int:
    """How many pixels have exactly this colour."""
    return sum(count for count, found in sheet.getcolors(maxcolors=1 << 24) or [] if found == color)


def test_a_redrawn_run_shows_both_pictures_and_what_was_taken() -> None:
    first, second = attempt(0, RED, verdict(True, False)), attempt(1, BLUE, verdict(True, True), reference())
    sheet = contact_sheet(record([first, second], [search(1, *candidates(4))]), load)
    assert sheet.mode == "RGB"
    assert sheet.width == 2400
    assert 800 < sheet.height < 3000
    assert share(sheet, RED) > 200_000
    assert share(sheet, BLUE) > 180_000
    assert share(sheet, LIME) > 5_000
    assert share(sheet, ACCENT) > 5_000


def test_the_best_attempt_is_framed_and_no_other() -> None:
    attempts = [attempt(0, RED, None), attempt(1, BLUE, None)]
    accents = []
    for best in (0, 1, None):
        sheet = contact_sheet(record(attempts, [], "best_effort", best_attempt=best), load)
        left, right = sheet.crop((0, 0, 1200, sheet.height)), sheet.crop((1200, 0, 2400, sheet.height))
        accents.append((share(left, ACCENT) > 1000, share(right, ACCENT) > 1000))
    assert accents == [(True, False), (False, True), (False, False)]


@pytest.mark.parametrize("outcome", [*Outcome, None, "an outcome of later days"])
@pytest.mark.parametrize("drawn", [0, 1, 2])
def test_every_outcome_has_a_sheet(outcome: str | None, drawn: int) -> None:
    attempts = [attempt(n, RED, verdict(True, False)) for n in range(drawn)]
    sheet = contact_sheet(record(attempts, [], outcome, reason=""), load)
    assert sheet.height > 300


def test_rounds_go_below_one_another() -> None:
    attempts = [attempt(n, RED, verdict(False)) for n in range(6)]
    searches = [search(n, *candidates(8)) for n in range(1, 6)]
    heights = [contact_sheet(record(attempts[:n], searches[: n - 1]), load).height for n in (2, 3, 6)]
    assert heights == sorted(set(heights))


def test_a_run_that_searched_first_has_a_sheet() -> None:
    drawn = attempt(0, RED, verdict(True), reference())
    run = record([drawn], [search(0, *candidates(12))])
    (row,) = rows_of(run["attempts"], run["searches"])
    assert (row.before, len(row.searches), row.after) == (None, 1, run["attempts"][0])
    assert share(contact_sheet(run, load), RED) > 180_000


def test_a_search_that_led_nowhere_closes_the_sheet() -> None:
    run = record(
        [attempt(0, RED, verdict(False))], [search(1), search(1, text="x", threshold=None)], "no_usable_reference"
    )
    (row,) = rows_of(run["attempts"], run["searches"])
    assert row.after is None
    assert share(contact_sheet(run, load), RED) > 180_000


def test_a_picture_that_cannot_be_had_leaves_an_empty_frame() -> None:
    def nothing(sha256: str) -> bytes:
        raise BlobError(f"{sha256} is gone")

    run = record([attempt(0, RED, None)], [search(1, *candidates(2))])
    assert contact_sheet(run, nothing).size == contact_sheet(run, load).size
    assert contact_sheet(run, lambda _: b"not an image").size == contact_sheet(run, load).size


def test_pictures_of_every_shape_and_mode_are_shown() -> None:
    for size, mode in (((4, 400), "RGB"), ((900, 3), "P"), ((30, 30), "L"), ((20, 20), "RGBA"), ((1, 1), "1")):
        image = picture(PINK, size, mode)
        contact_sheet(record([attempt(0, RED, None).model_copy(update={"image": image})], []), load)


def test_transparency_shows_white() -> None:
    out = BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(out, "PNG")
    BLOBS["0" * 64] = out.getvalue()
    image = ImageRef(sha256="0" * 64, media_type="image/png", width=8, height=8)
    sheet = contact_sheet(record([attempt(0, RED, None).model_copy(update={"image": image})], []), load)
    assert share(sheet, (255, 255, 255)) > 200_000


def test_the_same_record_gives_the_same_pixels() -> None:
    run = record([attempt(0, RED, verdict(False)), attempt(1, BLUE, verdict(True))], [search(1, *candidates(8))])
    assert contact_sheet(run, load).tobytes() == contact_sheet(run, load).tobytes()


ODD = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="Wi", min_size=100, max_size=200),
    st.sampled_from(["", " ", "\x00", "\ud800", "絵を描いて", "🦓🪑", "e\u0301t\u00e9", "\u202eabc", "a\nb\tc", "—→×"]),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ODD, ODD)
def test_no_text_is_too_odd(one: str, other: str) -> None:
    run = record(
        [attempt(0, RED, verdict(True, False, text="x"))],
        [search(1, *candidates(1))],
        "failed",
        prompt=one,
        reason=other,
        setup={"library": one},
        calls={other: 1},
    )
    run["attempts"][0]["verdict"]["checks"][1] |= {"evidence": one, "requirement": {"text": other}}
    run["searches"][0]["query"] |= {"text": one, "concept": {"text": other}}
    assert contact_sheet(run, load).width == 2400


@given(ODD, st.integers(1, 4))
def test_wrapped_text_fits(text: str, lines: int) -> None:
    rows = wrap(text, 15, 120, lines)
    assert len(rows) <= lines
    assert all(measure(row, 15) <= 120 for row in rows)


def test_text_is_written_with_what_the_font_has() -> None:
    assert plain("  Crème\nbrûlée — 3×4 → “ok” ") == "Creme brulee - 3x4 > “ok”"
    assert wrap("one two three four", 15, 60, 1)[0].endswith("…")
