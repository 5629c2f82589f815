"""The schemas in the documentation are the code's, none is missing, and what the command line prints keeps to them."""

import json
import os
import re
from collections.abc import Iterator, Mapping

import pytest
from jsonschema import Draft202012Validator

from imagerag.agent.errors import UsageError
from imagerag.formatting import labels
from imagerag.schemas import MODELS, schema
from tests.docs.generated import DOCS, ROOT, check, table

FOLDER = DOCS / "schemas"
OWN_FILES = {
    "batch-settings": "what a batch was started with, beside its results",
    "eval-plan": "what an evaluation was started with, beside its results",
    "study-key": "which image is whose, for those who made the study",
    "study-answers": "what the study's page saves",
}
"""Files that imagerag writes for itself to read again: no promise is made about them."""


def text(name: str) -> str:
    return json.dumps(schema(name), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("name", MODELS)
def test_generated_schemas_are_what_the_code_says(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    file = FOLDER / f"{name}.json"
    if os.environ.get("IMAGERAG_DOCS_WRITE"):
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text(name), "utf-8")
        return
    assert file.read_text("utf-8") == text(name), f"{file.name} is behind the code; run: make docs"


def documents() -> str:
    """The documents, each with its description and its schema."""
    rows = [(f"[`imagerag.{name}/1`](../schemas/{name}.json)", described(name)) for name in MODELS]
    return table(("document", "description"), rows)


def described(name: str) -> str:
    """The first paragraph of its model's docstring."""
    made = schema(name)
    shapes = [made["$defs"][part["$ref"].rpartition("/")[2]] for part in made.get("anyOf", [])] or [made]
    return " ".join(shape["description"].split("\n\n")[0] for shape in shapes)


def test_generated_table_of_documents_is_what_the_code_says() -> None:
    check(
        "reference/json-documents.md",
        documents=documents(),
        outcomes=table(("outcome", "exit code", "meaning"), outcomes()),
        answers=table(("outcome", "meaning"), labelled(labels.ANSWERS)),
        decisions=table(("decision", "meaning"), labelled(labels.DECISIONS)),
    )


def outcomes() -> Iterator[tuple[str, str, str]]:
    for value, meaning in labelled(labels.OUTCOMES):
        yield value, str(labels.OUTCOMES[value.strip("`")].exit_code), meaning


def labelled(values: Mapping[str, labels.Label]) -> Iterator[tuple[str, str]]:
    """Each value of an enum with what the program calls it."""
    return ((f"`{value}`", label.meaning or label.name) for value, label in values.items())


def test_there_is_no_schema_too_many() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == set(MODELS)


def test_every_document_has_a_schema() -> None:
    """Whoever adds a document adds it to `imagerag/schemas`."""
    named = {
        found
        for file in (ROOT / "imagerag").rglob("*.py")
        for found in re.findall(r"[\"`]imagerag\.([a-z_-]+)/1[\"`]", file.read_text("utf-8"))
    }
    assert named - set(OWN_FILES) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_schema_names_its_document(name: str) -> None:
    """A document's `schema` is the name its schema goes by, and no field may be misspelt."""
    made = schema(name)
    one = made.get("anyOf") or made.get("oneOf")
    shapes = [made["$defs"][part["$ref"].rpartition("/")[2]] for part in one] if one else [made]
    for shape in shapes:
        assert shape["properties"]["schema"]["const"] == f"imagerag.{name}/1"
        assert shape["additionalProperties"] is False


def test_an_unknown_document_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="there are: answer"):
        schema("nothing")
