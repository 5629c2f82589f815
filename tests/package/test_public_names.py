"""What others build on: a name that goes or comes is a decision, so the list is written down twice."""

from importlib import import_module
from pathlib import Path

import pytest

import imagerag

NAMES = (Path(__file__).parent / "public_names.txt").read_text().split()


def test_public_names_are_the_ones_agreed() -> None:
    assert sorted(imagerag.__all__) == NAMES, "if this is meant, change tests/package/public_names.txt along with it"


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_loads_and_is_documented(name: str) -> None:
    found = getattr(import_module("imagerag"), name)
    assert name.startswith("__") or found.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = imagerag.no_such_name
