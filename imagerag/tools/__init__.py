"""Adapters to models, behind the ports of `agent/ports/`; `registry.py` makes them from specs.

The tools that assistants call are in `assistants/`.
"""
