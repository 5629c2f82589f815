"""Names of libraries: what cannot be one is refused with the reason."""

import pytest

from imagerag.agent.errors import UsageError
from imagerag.store.library.names import valid_name, valid_new_name


@pytest.mark.parametrize("name", ["shop,cards", "shop, cards", "shop@v1,cards"])
def test_several_libraries_where_one_is_taken_are_named(name: str) -> None:
    with pytest.raises(UsageError, match="names several libraries, which only searches take; name one of them: shop"):
        valid_name(name)


@pytest.mark.parametrize("name", ["", "a,", ",b", "a b", "-a", "a" * 101])
def test_other_names_are_told_what_they_may_be_made_of(name: str) -> None:
    with pytest.raises(UsageError, match="use letters, digits"):
        valid_name(name)


@pytest.mark.parametrize("name", ["a,b", "a@b", "a@b,c", "web:x", ""])
def test_a_new_name_that_is_none_of_a_library_is_told_so(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a library's name: use letters, digits"):
        valid_new_name(name)
    assert valid_new_name("a.b-2_C") == "a.b-2_C"
