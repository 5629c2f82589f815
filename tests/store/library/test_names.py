"""Names of libraries: what cannot be one is refused with the reason."""

import pytest

from imagerag.agent.errors import UsageError
from imagerag.store.library.names import valid_name


@pytest.mark.parametrize("name", ["shop,cards", "shop, cards", "shop@v1,cards"])
def test_several_libraries_where_one_is_taken_are_named(name: str) -> None:
    with pytest.raises(UsageError, match="names several libraries, which only searches take; name one of them: shop"):
        valid_name(name)


@pytest.mark.parametrize("name", ["", "a,", ",b", "a b", "-a", "a" * 101])
def test_other_names_are_told_what_they_may_be_made_of(name: str) -> None:
    with pytest.raises(UsageError, match="use letters, digits"):
        valid_name(name)
