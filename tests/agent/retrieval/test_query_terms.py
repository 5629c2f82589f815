"""Queries of several terms: what is read as a term, an operator, a weight, and what an error points at."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import MOST_WEIGHT, SearchTerm
from imagerag.agent.retrieval.query_terms import MOST_TERMS, format_terms, parse_query, query_terms

WEIGHTS = st.floats(0.001, MOST_WEIGHT).map(lambda weight: round(weight, 6))
TEXTS = st.one_of(
    st.text(max_size=20),
    st.lists(
        st.sampled_from(["+", "-", "\\+", "\\-", '"', "\\", "2:", "-2:x", "16:9", "a", "well-worn", "it's", "é"])
    ).map(" ".join),
).filter(str.strip)


def read(text: str, **given: bool) -> list[tuple[str, float]]:
    return [(term.name, term.weight) for term in parse_query(text, **given)]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("a sofa + 2:velvet - leather", [("a sofa", 1), ("velvet", 2), ("leather", -1)]),
        ("a sofa - .5:leather +\tlegs", [("a sofa", 1), ("leather", -0.5), ("legs", 1)]),
        ("+ a sofa - 2.:leather", [("a sofa", 1), ("leather", -2)]),
        ("- leather + 3: 4 chairs", [("leather", -1), ("4 chairs", 3)]),
        ("16:9 photo + 10:30 clock", [("16:9 photo", 1), ("10:30 clock", 1)]),
        ("well-worn + c++ + x-", [("well-worn", 1), ("c++", 1), ("x-", 1)]),
        ('"salt - pepper"', [("salt - pepper", 1)]),
        (r"salt \- pepper + a \+ b", [("salt - pepper", 1), ("a + b", 1)]),
        (r'2:"say \"hi\" + \\" - c', [('say "hi" + \\', 2), ("c", -1)]),
        ('5" nail + it\'s "big"', [('5" nail', 1), ('it\'s "big"', 1)]),
        ("a – b — c − d", [("a – b — c − d", 1)]),
    ],
)
def test_terms_weights_and_signs(text: str, terms: list[tuple[str, float]]) -> None:
    assert read(text) == terms


@pytest.mark.parametrize("text", ["", " a red  card ", "2:velvet", '"red" card', "well-worn c++", "16:9", "a\\b", "-x"])
def test_a_query_without_signs_of_its_own_is_one_text_as_it_is(text: str) -> None:
    (term,) = parse_query(text, images=True)
    assert (term.text, term.image, term.weight) == (text, None, 1)


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("a +", 4, "expected a term after +"),
        ("a + - b", 5, "expected a term after +"),
        ("  -", 4, "expected a term after -"),
        ("a + 2:", 7, "expected a term after the weight"),
        ("a + 0:b", 5, "above 0 and at most 100"),
        ("a + 0.0:b", 5, "above 0 and at most 100"),
        ("a + 101:b", 5, "above 0 and at most 100"),
        (f"a + {'9' * 400}:b", 5, "above 0 and at most 100"),
        ("a + -2:b", 5, "a weight has no sign: write - 2: with a space"),
        ('a + "b', 5, "this quote is not closed"),
        ('a + "b" c', 9, "expected + or - after the closing quote"),
        ('a - " "', 5, "this term is empty"),
        (" - b - c", 2, "say what to look for, too"),
    ],
)
def test_an_error_points_at_the_place(text: str, column: int, words: str) -> None:
    with pytest.raises(UsageError, match=f"^query, column {column}: .*{re.escape(words)}") as caught:
        parse_query(text)
    _, shown, caret, *_ = str(caught.value).split("\n")
    assert caret.index("^") == shown.index(text[:60].split()[0][:1]) + column - 1 - (len(text) - len(text.lstrip()))


@pytest.mark.parametrize(
    "source",
    [
        "./new york.jpg",
        "../x.PNG",
        "/a/b.webp",
        "~/x.jpeg",
        r".\x.png",
        r"C:\x y.png",
        "https://a.example/x",
        "image://ab",
    ],
)
def test_paths_and_addresses_are_images_where_they_may_be(source: str) -> None:
    assert [(t.image, t.weight) for t in parse_query(f"{source} - 2:{source} + night", images=True)] == [
        (source, 1), (source, -2), (None, 1),
    ]  # fmt: skip
    assert parse_query(source, images=True)[0].image == source
    assert parse_query(source)[0].image is None
    assert parse_query(f'"{source}" + night', images=True)[0].image is None


@pytest.mark.parametrize("text", ["/imagine a cat", "./x", "x.jpg", "see https://a.example/x", "and/or.png not"])
def test_what_only_looks_like_a_path_is_text(text: str) -> None:
    assert parse_query(text, images=True)[0].text == text


def test_images_come_first_and_words_are_added_to_them() -> None:
    terms = query_terms("2:night - fruit", ["a.png", b"..."])
    assert [(t.name, t.weight) for t in terms] == [("a.png", 1), ("image 2", 1), ("night", 2), ("fruit", -1)]
    assert [(t.name, t.weight) for t in query_terms("- fruit", ["a.png"])] == [("a.png", 1), ("fruit", -1)]
    assert [(t.name, t.weight) for t in query_terms("2:night", ["a.png"])] == [("a.png", 1), ("night", 2)]
    assert query_terms([SearchTerm(image=b"x", weight=2)])[0].name == "image"
    for query, images in ((None, []), ([], [])):
        with pytest.raises(UsageError, match="with a text, with an image, or with both"):
            query_terms(query, images)
    with pytest.raises(UsageError, match="all terms are subtracted"):
        query_terms([SearchTerm(text="a", weight=-1)])
    for many in (" + ".join("a" * (MOST_TERMS + 1)), [SearchTerm(text="a")] * (MOST_TERMS + 1)):
        with pytest.raises(UsageError, match=f"at most {MOST_TERMS} are read"):
            query_terms(many)


@pytest.mark.parametrize("weight", [0, 101, -101, float("inf"), float("nan")])
def test_a_weight_is_above_0_and_at_most_100(weight: float) -> None:
    with pytest.raises(UsageError, match="at most 100"):
        SearchTerm(text="a", weight=weight)


def test_a_term_is_a_text_or_an_image() -> None:
    with pytest.raises(UsageError, match="one of them"):
        SearchTerm(text="a", image="b.png")


@given(st.lists(st.tuples(TEXTS.map(str.strip), WEIGHTS, st.booleans()), min_size=2, max_size=6))
def test_terms_are_read_as_they_are_written(given_terms: list[tuple[str, float, bool]]) -> None:
    terms = [(text, weight if plus or not at else -weight) for at, (text, weight, plus) in enumerate(given_terms)]
    assert read(format_terms(terms)) == terms


@given(TEXTS)
def test_a_single_text_is_read_as_it_is_written(text: str) -> None:
    assert read(format_terms([(text, 1.0)])) == [(text, 1.0)]


@given(st.text().filter(lambda text: not re.search(r"(?<!\S)\\?[+-](?!\S)", text)))
def test_any_text_without_signs_that_stand_alone_stays_as_it_is(text: str) -> None:
    assert [term.text for term in parse_query(text)] == [text]


@given(TEXTS, st.booleans())
def test_a_text_is_read_or_an_error_says_where_it_is_wrong(text: str, images: bool) -> None:
    try:
        terms = parse_query(text, images=images)
    except UsageError as error:
        column = re.match(r"query, column (\d+): ", str(error))
        assert column is None or 1 <= int(column[1]) <= len(text) + 1
    else:
        assert all(term.text.strip() or term.image for term in terms)
        assert any(term.weight > 0 for term in terms)
