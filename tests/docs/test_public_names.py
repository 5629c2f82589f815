"""The documents use public names only: those of `imagerag`, and those of a few modules that are named here."""

import ast
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

import imagerag
from tests.docs.generated import DOCS, check, table
from tests.docs.test_readme import DOCUMENTS, blocks

PUBLIC: Final[Mapping[str, str]] = {
    "imagerag": "client, results, errors, tools for LangChain",
    "imagerag.agent.calls.call_context": "the context of the call that an adapter serves",
    "imagerag.agent.errors": "every error",
    "imagerag.agent.nodes": "the nodes of the generation graph, to subclass",
    "imagerag.agent.ports": "the interfaces that generators, judges, embedders, rerankers and libraries implement",
    "imagerag.agent.qa.ports": "the interface that answerers implement, its input and output",
    "imagerag.agent.qa.types": "the values of questions and answers",
    "imagerag.agent.types": "the values in the state of a run",
    "imagerag.evals.integrations.cases": "one case for any harness",
    "imagerag.evals.integrations.datasets": "results as a Hugging Face data set",
    "imagerag.evals.integrations.langsmith": "a target for LangSmith",
    "imagerag.evals.metrics.registry": "registration of metrics",
    "imagerag.graphs.generation": "the generation graph, to extend",
    "imagerag.schemas": "JSON schemas of all documents",
    "imagerag.tools.services.service": "services, for packages that add some",
    "imagerag.tools.spec": "backend specs, for packages that add backends",
    "imagerag.tools.spec_options": "options of backend specs",
    "imagerag.tools.testing.fakes": "fakes of every interface, for tests",
    "imagerag.tools.testing.mock_openai": "a server that speaks the OpenAI protocol, for tests",
}
"""The modules that the documents may import from, with what is in them."""


def names(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of everything that the Python blocks of a document import from the package."""
    for block in blocks(path.read_text("utf-8")):
        for node in ast.walk(ast.parse(block.text)) if block.language == "python" else ():
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "imagerag":
                yield from ((node.module or "", alias.name) for alias in node.names)
            if isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "imagerag")


USED: Final = {name: path for path in DOCUMENTS for name in names(path)}


def test_documents_import_from_public_modules_only() -> None:
    assert {module: USED[module, name].name for module, name in USED if module not in PUBLIC} == {}


@pytest.mark.parametrize(("module", "name"), sorted(USED))
def test_what_documents_import_is_public(module: str, name: str) -> None:
    assert not name.startswith("_")
    assert hasattr(import_module(module), name)
    assert module != "imagerag" or name in imagerag.__all__


def test_every_public_module_is_used() -> None:
    assert set(PUBLIC) - {module for module, _ in USED} == set()


def test_generated_table_of_public_modules_is_this_list() -> None:
    check("reference/python.md", modules=table(("module", "content"), ((f"`{m}`", text) for m, text in PUBLIC.items())))


def test_every_name_of_the_package_is_in_the_reference() -> None:
    text = (DOCS / "reference" / "python.md").read_text("utf-8")
    homes = {name: imagerag._HOMES[name] for name in imagerag.__all__ if not name.startswith("_")}
    assert [n for n, home in homes.items() if f"::: {home}.{n}\n" not in text and f"::: {home}\n" not in text] == []
