"""Licences that services report: known by name, version and address together, or unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.formatting.web_credits import restrictions
from imagerag.tools.web.licences import CODES, licence_of

BY = "https://creativecommons.org/licenses/by/4.0/"


@pytest.mark.parametrize(
    ("named", "version", "url", "name"),
    [
        ("by", "4.0", BY, "CC-BY-4.0"),
        ("CC BY 4.0", "", "", "CC-BY-4.0"),
        ("CC-BY-SA-3.0", "", "", "CC-BY-SA-3.0"),
        ("cc-by-sa-3.0-de", "", "http://creativecommons.org/licenses/by-sa/3.0/de/deed.en", "CC-BY-SA-3.0"),
        ("by-nc-nd", "2.0", "https://creativecommons.org/licenses/by-nc-nd/2.0/", "CC-BY-NC-ND-2.0"),
        ("cc0", "1.0", "https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("CC0 1.0 Universal", "", "", "CC0-1.0"),
        ("pdm", "1.0", "https://creativecommons.org/publicdomain/mark/1.0/", "public domain"),
        ("Public domain", "", "", "public domain"),
        ("", "", BY, "CC-BY-4.0"),
        (BY, "", "", "CC-BY-4.0"),
        # What contradicts itself.
        ("cc0", "1.0", "https://creativecommons.org/licenses/by-nc-nd/4.0/", None),
        ("by", "3.0", BY, None),
        ("by", "4.0", "https://example.org/our-terms", None),
        ("by", "4.0", "https://creativecommons.org.example.com/licenses/by/4.0/", None),
        ("Public domain", "", BY, None),
        # What is not known.
        ("All rights reserved", "", BY, None),
        ("free to use", "", "", None),
        ("by-nd-sa", "4.0", "", None),
        ("cc0; trust me", "", "", None),
        ("", "", "", None),
        ("", "", "javascript:alert(1)", None),
    ],
)
def test_a_licence_is_known_or_unknown(named: str, version: str, url: str, name: str | None) -> None:
    found = licence_of(named, version=version, url=url)
    assert (found.name if found else None) == name


def test_what_a_licence_forbids_is_told() -> None:
    assert restrictions("CC-BY-NC-ND-4.0") == ["no commercial use", "no derivatives"]
    assert restrictions("CC-BY-4.0") == restrictions("unknown") == restrictions("") == []


@given(st.text(max_size=60), st.text(max_size=8), st.text(max_size=80))
def test_no_text_is_an_error_and_what_is_known_has_a_code(named: str, version: str, url: str) -> None:
    found = licence_of(named, version=version, url=url)
    assert found is None or found.code in CODES
