"""Generators in this process: diffusers pipelines (extra `diffusers`).

To add a model, write its row in `families.py`.
"""
