"""Take nodes out of a workflow whose image is not sent.

It is what ComfyUI's editor does with a bypassed node: whoever took its output gets the input of the same type that went
into it. An image prompt adapter passes on its model, a conditioning node its conditioning. Where there is no such
input, an optional input of the next node is left empty, and a required one takes that node out as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from imagerag.agent.types import Size
from imagerag.tools.generators.comfyui.node_info import NodeInfo, NodeInfos, result_nodes
from imagerag.tools.generators.comfyui.placeholders import Nodes, is_image
from imagerag.tools.generators.comfyui.sent_files import Files, stand_in
from imagerag.tools.generators.comfyui.workflow import Workflow, is_link

_NOTHING = NodeInfo({})


def without(nodes: Nodes, absent: Iterable[tuple[str, str]], infos: NodeInfos) -> dict[str, dict[str, Any]]:
    """A copy of the workflow without some inputs.

    Args:
        absent: (node id, input) of the inputs that have no value.
        infos: the server's node classes; an unknown class has no required input.
    """
    remaining = {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in nodes.items()}
    open_inputs = list(absent)
    while open_inputs:
        node_id, name = open_inputs.pop()
        if node_id not in remaining:
            continue
        remaining[node_id]["inputs"].pop(name, None)
        if _info(remaining[node_id], infos).is_required(name):
            open_inputs += _take_out(remaining, node_id, infos)
    return remaining


@dataclass(frozen=True)
class FittedWorkflow:
    """A workflow for the images of one call.

    Attributes:
        nodes: with placeholders, without the nodes of images that are not sent.
        stand_ins: plain images that are sent in place of absent ones.
        results: ids of the nodes whose images are results, in the order of the file.
    """

    nodes: Nodes
    stand_ins: Files
    results: list[str]


def fitted(workflow: Workflow, files: Files, infos: NodeInfos, size: Size, output: str | None) -> FittedWorkflow | None:
    """The workflow without the nodes of images that are not sent, and plain images where it cannot do without.

    Args:
        files: the images that are sent, by placeholder.
        size: of plain images.
        output: id of the node that must be left; by default any that keeps an image made from the prompt.

    Returns:
        None if no image would be kept even with all of them.
    """
    absent = [name for name in workflow.placeholders if is_image(name) and name not in files]
    stand_ins = Files()
    for number in range(len(absent) + 1):
        nodes = without(
            workflow.nodes, (place for name in absent[number:] for place in workflow.placeholders[name]), infos
        )
        results = result_nodes(nodes, infos, nodes if output else workflow.prompt_nodes)
        if output in results or (results and output is None):
            return FittedWorkflow(nodes, stand_ins, [output] if output else results)
        if number < len(absent):
            stand_ins[absent[number]] = stand_in(absent[number], files, size)
    return None


def _take_out(remaining: dict[str, dict[str, Any]], node_id: str, infos: NodeInfos) -> list[tuple[str, str]]:
    """Take a node out; the inputs that nothing replaces its output in."""
    removed_node = remaining.pop(node_id)
    unreplaced = []
    for other, node in remaining.items():
        for name, value in node["inputs"].items():
            if not is_link(value) or value[0] != node_id:
                continue
            instead = _passed_on(removed_node, int(value[1]), _info(removed_node, infos))
            if instead is None:
                unreplaced.append((other, name))
            else:
                node["inputs"][name] = instead
    return unreplaced


def _passed_on(node: Mapping[str, Any], slot: int, info: NodeInfo) -> list[Any] | None:
    """The link that replaces an output: of several of its type, the first output is the first input, and so on."""
    if not 0 <= slot < len(info.outputs):
        return None
    kind = info.outputs[slot]
    place = info.outputs[:slot].count(kind)
    fitting = [node["inputs"].get(name) for name, one in info.inputs.items() if one.kind == kind]
    linked = [value for value in fitting if is_link(value)]
    if place < len(fitting) and is_link(fitting[place]):
        return list(fitting[place])
    return list(linked[0]) if linked else None


def _info(node: Mapping[str, Any], infos: NodeInfos) -> NodeInfo:
    return infos.get(node["class_type"], _NOTHING)
