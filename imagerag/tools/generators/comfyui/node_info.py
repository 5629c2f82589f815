"""Node classes as a server describes them (`/object_info`), and the check of a workflow against them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from imagerag.formatting.messages import near
from imagerag.tools.generators.comfyui.placeholders import Nodes
from imagerag.tools.generators.comfyui.workflow import Workflow, label, links

_SHOWN: Final = 5
"""Choices in a message."""
_FILLED_LATER: Final = ("image_upload", "video_upload", "audio_upload", "upload", "remote", "remote_combo")
"""Options of an input whose choices are not all in its list: uploaded files, or a list of another server."""

_UNLISTED: Final = "SaveImageWebsocket"
"""Sends its images over the websocket only, which may break off."""


@dataclass(frozen=True)
class InputInfo:
    """One input of a node class.

    Attributes:
        kind: type of its values, for instance "IMAGE".
        choices: the only valid values; None if there are others.
    """

    kind: str
    required: bool
    choices: tuple[object, ...] | None = None


@dataclass(frozen=True)
class NodeInfo:
    """One node class.

    Attributes:
        inputs: in the order of the node; hidden ones are left out.
        outputs: types of its outputs.
        keeps_image: whether the server runs a workflow for its sake, and lists its images afterwards.
        is_paid: whether it calls a paid service in the user's name.
    """

    inputs: Mapping[str, InputInfo]
    outputs: tuple[str, ...] = ()
    keeps_image: bool = False
    is_paid: bool = False

    @classmethod
    def parse(cls, raw: Any) -> "NodeInfo":
        """Parse a server's description; what is missing in it is taken for absent."""
        info = raw if isinstance(raw, Mapping) else {}
        groups = info.get("input")
        inputs: dict[str, InputInfo] = {}
        for group in ("required", "optional"):
            members = groups.get(group) if isinstance(groups, Mapping) else None
            if isinstance(members, Mapping):
                inputs |= {str(name): _input(config, group == "required") for name, config in members.items()}
        outputs = info.get("output")
        return cls(
            inputs,
            tuple("COMBO" if isinstance(kind, list) else str(kind) for kind in outputs)
            if isinstance(outputs, list)
            else (),
            info.get("output_node") is True
            and info.get("name") != _UNLISTED
            and any(_takes_images(one.kind) for one in inputs.values()),
            info.get("api_node") is True,
        )

    def is_required(self, name: str) -> bool:
        """Whether the node cannot run without an input. One of a variable list is not described, and is optional."""
        return name in self.inputs and self.inputs[name].required


NodeInfos = Mapping[str, NodeInfo]
"""Class → its description, for the classes that the server has."""


def result_nodes(nodes: Nodes, infos: NodeInfos, sources: Iterable[str]) -> list[str]:
    """Ids of the nodes that keep an image, in the order of the file.

    Args:
        sources: ids of nodes that the image must come from; a preview of a reference is no result.
    """
    reached, before = set(sources), -1
    while len(reached) > before:
        before = len(reached)
        reached |= {node_id for node_id, _, source, _ in links(nodes) if source in reached}
    by_id = {node_id: infos.get(node["class_type"]) for node_id, node in nodes.items()}
    return [node_id for node_id, info in by_id.items() if info and info.keeps_image and node_id in reached]


def class_problems(workflow: Workflow, infos: NodeInfos) -> Iterator[str]:
    """Reasons why the server cannot run a workflow, whatever its values are."""
    nodes = workflow.nodes
    for node_id, node in nodes.items():
        info = infos.get(node["class_type"])
        if info is None:
            yield (
                f"{label(nodes, node_id)}: the server has no such node; install the package that it is from there "
                "(ComfyUI-Manager: Install Missing Custom Nodes)"
            )
        elif info.is_paid:
            yield f"{label(nodes, node_id)} calls a paid service, whose price is not known here: take it out"
    for node_id, name, source, slot in links(nodes):
        kind = infos.get(nodes[source]["class_type"])
        if kind is not None and not 0 <= slot < len(kind.outputs):
            yield f"{label(nodes, node_id)} takes {name} from output {slot} of {label(nodes, source)}, which has none"
    classes_known = all(node["class_type"] in infos for node in nodes.values())
    if classes_known and not result_nodes(nodes, infos, workflow.prompt_nodes):
        yield "no node of it keeps an image that %prompt% leads to: add SaveImage or PreviewImage"


def value_problems(nodes: Nodes, infos: NodeInfos) -> Iterator[str]:
    """Values that are not in the server's lists, and required inputs that are missing.

    The server checks them as well, before it runs anything, and is right where it accepts one: some nodes accept more
    than they list.
    """
    for node_id, node in nodes.items():
        info = infos.get(node["class_type"])
        for name, one in info.inputs.items() if info else ():
            if name not in node["inputs"]:
                if one.required and not one.kind.startswith("COMFY_"):  # values of these stand in several inputs
                    yield f"{label(nodes, node_id)} lacks its input {name}"
                continue
            value = node["inputs"][name]
            if one.choices is not None and isinstance(value, str) and "%" not in value and value not in one.choices:
                yield f"{label(nodes, node_id)}: {name} {value[:80]!r} is not on the server; {_there(value, one)}"


def _there(value: str, info: InputInfo) -> str:
    names = [str(one) for one in info.choices or ()]
    guess = near(value, names)
    hint = f"did you mean {guess!r}? There are " if guess else "there are "
    return hint + ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "") if names else "it has none"


def _takes_images(kind: str) -> bool:
    return kind == "*" or "IMAGE" in kind.split(",")


def _input(config: Any, required: bool) -> InputInfo:
    kind = config[0] if isinstance(config, list) and config else "*"
    options = config[1] if isinstance(config, list) and len(config) > 1 and isinstance(config[1], Mapping) else {}
    choices = kind if isinstance(kind, list) else options.get("options")
    closed = isinstance(choices, list) and not any(options.get(name) for name in _FILLED_LATER)
    return InputInfo(
        "COMBO" if isinstance(kind, list) else str(kind),
        required,
        tuple(choices) if closed and choices is not None else None,
    )
