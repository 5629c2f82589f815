"""Judges: models that look at an image and say what is missing.

To add a judge, implement the `Judge` port in a module here and name its factory in `tools/built_in_providers.py`.
"""
