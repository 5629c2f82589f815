"""The graph as a picture, for the README and the documentation."""

from typing import Any, cast

from imagerag.graphs.generation import build_workflow


def mermaid() -> str:
    """The generation graph as mermaid text, drawn from the code; the error handler's orphan node is left out."""
    nothing = cast(Any, None)
    graph = build_workflow(generator=nothing, judge=nothing, library=None, blobs=nothing).compile().get_graph()
    for name in [name for name in graph.nodes if "error_handler" in name]:
        graph.remove_node(graph.nodes[name])
    return graph.draw_mermaid(with_styles=False).strip() + "\n"
