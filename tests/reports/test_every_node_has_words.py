"""A node that is added has to say what it did at every place that tells of steps."""

from inspect import iscoroutinefunction

from imagerag.agent.nodes import Nodes
from imagerag.formatting.labels import NODES
from imagerag.reports.event_text import NODE_EVENTS
from imagerag.reports.run_diff.step_facts import NODE_FACTS
from imagerag.reports.step_text import NODE_TEXTS

METHODS = {name for name, value in vars(Nodes).items() if iscoroutinefunction(value) and not name.startswith("_")}
TOLD_BY_THE_SHORTLIST = {"retrieve"}


def test_every_node_has_a_label_and_words() -> None:
    assert METHODS - NODES.keys() == set()
    assert METHODS - NODE_TEXTS.keys() == set()
    assert METHODS - NODE_FACTS.keys() == set()
    assert METHODS - NODE_EVENTS.keys() == TOLD_BY_THE_SHORTLIST
