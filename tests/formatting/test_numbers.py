"""A number is rounded once, from the full value, wherever it is shown."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.formatting import numbers

ROOT = Path(__file__).parents[2]


def test_the_number_that_was_two() -> None:
    assert numbers.cosine(0.41051) == "0.411"
    assert numbers.cosine(-0.0001) == "0.000"


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (None, "price not known"),
        (0, "$0.00"),
        (0.0, "$0.00"),
        (0.00001, "under $0.0001"),
        (0.0412, "$0.0412"),
        (0.09996, "$0.10"),
        (0.1, "$0.10"),
        (3.2, "$3.20"),
        (1234.5, "$1,234.50"),
    ],
)
def test_money_is_shown_one_way(usd: float | None, shown: str) -> None:
    assert numbers.dollars(usd) == shown


@pytest.mark.parametrize(
    ("elapsed", "shown"),
    [(0, "0 ms"), (0.012, "12 ms"), (0.9999, "1.0 s"), (3.44, "3.4 s"), (119.7, "2 min 00 s"), (125, "2 min 05 s")],
)
def test_seconds(elapsed: float, shown: str) -> None:
    assert numbers.seconds(elapsed) == shown


@pytest.mark.parametrize(
    ("share", "shown"), [(0, "0 %"), (0.001, "under 1 %"), (0.5, "50 %"), (0.999, "over 99 %"), (1, "100 %")]
)
def test_what_is_not_all_is_not_a_hundred_per_cent(share: float, shown: str) -> None:
    assert numbers.percent(share) == shown


def test_percentiles_and_attempts() -> None:
    assert [numbers.percentile(value) for value in (95, 95.0, 97.5)] == ["95 %", "95 %", "97.5 %"]
    assert (numbers.attempt(0), numbers.attempt_of(1, 3)) == ("attempt 1", "attempt 2 of 3")
    assert (numbers.drawing(0), numbers.drawing(2)) == ("first drawing", "round 2")
    assert numbers.model_calls(0, 2) == "0 model calls (2 answers from the journal)"


@given(st.floats(0, 1e300, allow_nan=False))
def test_any_number_stays_short(value: float) -> None:
    for shown in (numbers.dollars(value), numbers.seconds(value), numbers.cosine(value)):
        assert len(shown) <= 24


FORMATTED = re.compile(
    r"\{[^{}]*(?:cosine|similarity|threshold|cost|usd|elapsed|score)[^{}]*:[^{}]*\.\df\}", re.IGNORECASE
)


def test_no_door_formats_a_cosine_or_a_price_by_itself() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in (ROOT / "imagerag").rglob("*.py")
        if not {"formatting", "tools"} & set(path.relative_to(ROOT).parts)
        for line in path.read_text(encoding="utf-8").splitlines()
        if FORMATTED.search(line)
    ]
    assert found == []


def test_documents_hold_the_full_value() -> None:
    """What is rounded in a document and rounded again when it is shown can come out as another number."""
    rounded = re.compile(r"round\([^()]*(?:similarity|threshold|cosine)\b[^()]*, [0-9]\)")
    found = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "imagerag").rglob("*.py")
        if "tools" not in path.relative_to(ROOT).parts and rounded.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
