"""Generators in this process: diffusers pipelines (extra `diffusers`).

To add a model, write its row in `model_table.py`.
"""
