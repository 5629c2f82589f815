"""Adapters to models, behind the ports of `agent/ports.py`; `registry.py` makes them from specs."""
