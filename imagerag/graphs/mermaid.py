"""The graph as an image, for the README and the documentation."""

from imagerag.agent.nodes import Nodes
from imagerag.graphs.generation import build_workflow


def mermaid() -> str:
    """The generation graph as mermaid text, drawn from the code; the error handler's orphan node is left out."""
    graph = build_workflow(Nodes.for_diagram()).compile().get_graph()
    for name in [name for name in graph.nodes if "error_handler" in name]:
        graph.remove_node(graph.nodes[name])
    return graph.draw_mermaid(with_styles=False).strip() + "\n"
