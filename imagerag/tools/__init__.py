"""Adapters to models, behind the ports of `agent/ports/`; `registry.py` makes them from specs."""
