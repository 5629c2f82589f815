"""The workflow's logic: types, state, nodes, routing, prompts and the ports that adapters implement. No I/O.

To add a node, write it as a method of `Nodes` in `nodes.py`, its decisions in `routing.py`, wire both in
`graphs/generation.py`, count it in `retry_schedule.py` (`recursion_limit`), and name it in `formatting/labels.py`.
"""
