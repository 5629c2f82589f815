"""The contract for services of one's own, as the documentation states it: what keeps to it is read."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from imagerag.tools.web.results import WebResult
from imagerag.tools.web.services import SERVICES
from tests.tools.web.search_server import found

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "web-references.md"
SCHEMA: dict[str, Any] = json.loads(re.findall(r"^```json\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)[0])
WHOLE = found("https://example.org/a.png", licence_url="https://example.org/", width=3, height=2)


def test_every_field_of_the_contract_is_read() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["$defs"]["image"]["properties"]) == set(WHOLE)
    (read,) = SERVICES["http"].read([WHOLE])
    assert {one.name: getattr(read, one.name) for one in fields(WebResult) if one.name in WHOLE} == WHOLE


@pytest.mark.parametrize("answer", [[], [WHOLE], {"images": [WHOLE]}, [{"image": "https://example.org/a.png"}]])
def test_what_keeps_to_the_contract_is_read(answer: Any) -> None:
    Draft202012Validator(SCHEMA).validate(answer)
    listed = answer if isinstance(answer, list) else answer["images"]
    assert len(SERVICES["http"].read(answer)) == len(listed)


@pytest.mark.parametrize("answer", [{}, "x", [{"title": "no image"}], [{"image": 3}]])
def test_what_does_not_is_no_result(answer: Any) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMA).validate(answer)
    assert [one.image for one in SERVICES["http"].read(answer) if one.image] == []
