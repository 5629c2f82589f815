"""Read a workflow file, and check what can be checked without a server."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import SpecError
from imagerag.agent.regular_files import read_regular
from imagerag.formatting.messages import near
from imagerag.tools.generators.comfyui import placeholders
from imagerag.tools.generators.comfyui.placeholders import IMAGE, MASK, PROMPT, REFERENCE, Nodes

MAX_FILE_BYTES: Final = 16 << 20
_TITLE: Final = 60
"""Characters of a node's title in messages."""
_SHOWN: Final = 6
"""Nodes of a circle in messages."""

HOW_TO_EXPORT: Final = "export it from ComfyUI with Workflow > Export (API), in older versions Save (API Format)"


@dataclass(frozen=True)
class Workflow:
    """A workflow in ComfyUI's API format.

    Attributes:
        name: the file's name, for messages and the identity.
        nodes: node id → `class_type`, `inputs`, `_meta`.
        digest: the first 12 hexadecimal digits of the SHA-256 of the file's bytes.
    """

    name: str
    nodes: Nodes = field(repr=False)
    digest: str

    @classmethod
    def read(cls, file: str) -> "Workflow":
        """Read and check a file.

        Raises:
            SpecError: it cannot be read, is no API workflow, or has unknown, missing or contradictory placeholders or
                links; the message names the node.
        """
        path = Path(file).expanduser()
        try:
            data = read_regular(path, longest=MAX_FILE_BYTES)
            document = json.loads(data)
        except OSError as error:
            raise SpecError(f"the workflow {file} cannot be read: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise SpecError(f"the workflow {file} is no JSON: {HOW_TO_EXPORT}") from error
        try:
            workflow = cls(path.name, _nodes(document), sha256(data).hexdigest()[:12])
            workflow._check_links()
            workflow._check_placeholders()
        except SpecError as error:
            raise SpecError(f"the workflow {file}: {error}") from None
        return workflow

    @cached_property
    def placeholders(self) -> Mapping[str, tuple[tuple[str, str], ...]]:
        """Placeholder → (node id, input) of each place where it stands."""
        by_name: dict[str, list[tuple[str, str]]] = {}
        for name, node_id, place in placeholders.places(self.nodes):
            by_name.setdefault(name, []).append((node_id, place))
        return {name: tuple(where) for name, where in by_name.items()}

    @property
    def references(self) -> int:
        """Number of placeholders for references."""
        return sum(REFERENCE.fullmatch(name) is not None for name in self.placeholders)

    @property
    def prompt_nodes(self) -> list[str]:
        """Ids of the nodes with the prompt."""
        return [node_id for node_id, _ in self.placeholders.get(PROMPT, ())]

    def _check_links(self) -> None:
        for node_id, name, source, _ in links(self.nodes):
            if source not in self.nodes:
                raise SpecError(f"{label(self.nodes, node_id)} takes {name} from node {source}, which is not there")
        try:
            TopologicalSorter({node_id: _sources(node) for node_id, node in self.nodes.items()}).prepare()
        except CycleError as error:
            circle = ", ".join(label(self.nodes, node_id) for node_id in error.args[1][1:][:_SHOWN])
            raise SpecError(f"its links lead in a circle: {circle}") from None

    def _check_placeholders(self) -> None:
        for name, where in self.placeholders.items():
            if not placeholders.is_known(name):
                guess = near(name, placeholders.NAMES)
                hint = f"did you mean %{guess}%? There are" if guess else "there are"
                names = ", ".join(f"%{one}%" for one in placeholders.NAMES)
                node_id, place = where[0]
                raise SpecError(
                    f"{label(self.nodes, node_id)} has the unknown placeholder %{name}% in {place}; {hint} "
                    f"{names}, %reference_2% …"
                )
        if PROMPT not in self.placeholders:
            raise SpecError("no node has the placeholder %prompt%: write it where the prompt stands")
        gap = next((n for n in range(1, self.references + 1) if f"reference_{n}" not in self.placeholders), None)
        if gap:
            raise SpecError(f"it has {self.references} references, and no %reference_{gap}%: number them from 1")
        if MASK in self.placeholders and not {IMAGE, "reference_1"} & self.placeholders.keys():
            raise SpecError("it has %mask% and no image that the mask belongs to: write %image% where that is loaded")


def label(nodes: Nodes, node_id: str) -> str:
    """A node for messages: `node 4 "Load Checkpoint" (CheckpointLoaderSimple)`."""
    node = nodes.get(node_id, {})
    meta = node.get("_meta")
    title = " ".join(str(meta.get("title") or "").split())[:_TITLE] if isinstance(meta, Mapping) else ""
    kind = str(node.get("class_type", "unknown class"))[:_TITLE]
    return f"node {node_id[:_TITLE]}{f' “{title}”' if title and title != kind else ''} ({kind})"


def links(nodes: Nodes) -> Iterator[tuple[str, str, str, int]]:
    """(node id, input, id of the node it is from, index of that node's output) of every link."""
    for node_id, node in nodes.items():
        for name, value in node["inputs"].items():
            if is_link(value):
                yield node_id, name, value[0], int(value[1])


def _sources(node: Mapping[str, Any]) -> list[str]:
    """Ids of the nodes that a node takes inputs from."""
    return [value[0] for value in node["inputs"].values() if is_link(value)]


def is_link(value: object) -> bool:
    """Whether an input's value is the output of another node."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int | float)
        and not isinstance(value[1], bool)
    )


def _nodes(document: Any) -> dict[str, dict[str, Any]]:
    if isinstance(document, dict) and isinstance(document.get("nodes"), list):
        raise SpecError(f"it is in the format of ComfyUI's editor, which its server does not run: {HOW_TO_EXPORT}")
    if not isinstance(document, dict) or not document:
        raise SpecError(f"it has no nodes: {HOW_TO_EXPORT}")
    for node_id, node in document.items():
        if not isinstance(node, dict) or not isinstance(node.get("inputs"), dict):
            raise SpecError(f"{node_id[:_TITLE]!r} is no node, which has class_type and inputs: {HOW_TO_EXPORT}")
        if not isinstance(node.get("class_type"), str):
            raise SpecError(
                f"{label(document, node_id)} has no class_type: its package was missing when the workflow was exported"
            )
    return document
