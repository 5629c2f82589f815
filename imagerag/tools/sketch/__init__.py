"""The sketch world: a small offline world with a real CLIP, a catalogue and a generator.

It registers itself in `registration.py`; no other adapter imports it.
"""
