"""Options in specs: what is written is what is read, and what cannot be is told with what there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import SpecError
from imagerag.tools.registry import make_embedder, make_generator, make_judge
from imagerag.tools.spec import BackendSpec, with_options
from imagerag.tools.spec_options import Choice, Number, Reader, Words

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
VALUES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
PROVIDERS = st.from_regex(r"[a-z][a-z0-9_-]{0,10}", fullmatch=True)
MODELS = st.from_regex(r"[A-Za-z0-9./_-]{1,20}(:[a-z0-9]{1,6})?", fullmatch=True)
URLS = st.sampled_from([None, "http://localhost:11434/v1", "https://host/v1?api-version=1&x=@y"])
SPECS = st.builds(
    lambda provider, model, url, options: BackendSpec(provider, model, url, tuple(options.items())),
    PROVIDERS, st.just("") | MODELS, URLS, st.dictionaries(NAMES, VALUES, max_size=4),
)  # fmt: skip

KNOWN: dict[str, Reader] = {
    "name": str, "count": int, "ratio": float, "exact": bool,
    "level": Choice("low", "high"), "parts": Words("a", "b"), "votes": Number(int, least=1, most=9),
}  # fmt: skip


@given(SPECS)
def test_a_spec_is_read_as_it_was_written(spec: BackendSpec) -> None:
    assert BackendSpec.parse(str(spec)) == spec


@given(st.lists(SPECS, min_size=1, max_size=3))
def test_so_is_a_fallback_whatever_commas_its_options_hold(specs: list[BackendSpec]) -> None:
    named = [spec for spec in specs if spec.model or not spec.base_url]
    if named:
        assert BackendSpec.parse_all(",".join(map(str, named))) == tuple(named)


@given(SPECS, st.dictionaries(NAMES, VALUES, min_size=1, max_size=3))
def test_an_identity_with_options_is_a_spec_with_them(spec: BackendSpec, more: dict[str, str]) -> None:
    fresh = {name: value for name, value in more.items() if name not in dict(spec.options)}
    found = BackendSpec.parse(with_options(str(spec), fresh))
    assert dict(found.options) == {**dict(spec.options), **fresh}
    assert (found.provider, found.model, found.base_url) == (spec.provider, spec.model, spec.base_url)


@given(st.integers(1, 9), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), VALUES)
def test_values_come_back_as_what_they_are(votes: int, ratio: float, exact: bool, name: str) -> None:
    text = with_options("x", {"votes": votes, "ratio": ratio, "exact": exact, "name": name, "left_out": None})
    read = BackendSpec.parse(text).settings(KNOWN)
    assert read == {"votes": votes, "ratio": ratio, "exact": exact, "name": name}


def test_some_words_are_joined_by_plus() -> None:
    assert BackendSpec.parse("x?parts=b+a").settings(KNOWN) == {"parts": ("b", "a")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x?level=middling", "level must be low or high; not 'middling'"),
        ("x?votes=0", "votes must be a whole number, from 1 to 9"),
        ("x?votes=2.5", "votes must be a whole number"),
        ("x?count=many", "count must be a whole number"),
        ("x?ratio=wide", "ratio must be a number"),
        ("x?exact=1", "exact must be true or false"),
        ("x?parts=c", "parts must be one or more of a, b"),
        ("x?colour=red", "no option 'colour'; there are: count, exact, level, name, parts, ratio, votes"),
    ],
)
def test_what_cannot_be_is_told_with_what_can(text: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        BackendSpec.parse(text).settings(KNOWN)


@pytest.mark.parametrize("text", ["x?", "x?a", "x?a=", "x?=1", "x?a=1&", "x?A=1", "x?a=1&a=2", "x:m?a=%ff@http://h/v1"])
def test_what_is_no_option_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"OPTION=VALUE|twice"):
        BackendSpec.parse(text)


@pytest.mark.parametrize("make", [make_generator, make_judge, make_embedder])
def test_who_takes_no_options_says_so(make) -> None:
    with pytest.raises(SpecError, match="takes no options"):
        make("sketch?quality=high")
