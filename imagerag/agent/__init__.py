"""The workflow's logic: types, state, nodes, routing, prompts and the ports that adapters implement. No I/O.

To add a node, write it as a method of `Nodes` in `nodes.py`, its keys in `state.py`, its decisions in `routing.py`;
wire it in `graphs/generation.py` (`BLANK` has the keys of a new run), count it in `extraction_schedule.py`
(`recursion_limit`), name it in `formatting/labels.py`, and say what it did in the `NODE_` tables of
`reports/step_text.py`, `reports/event_text.py` and `reports/run_diff/step_facts.py`.
"""
