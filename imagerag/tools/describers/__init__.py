"""Describers: models that describe images.

To add a describer, implement the `Describer` port in a module here and name its factory in
`tools/built_in_providers.py`.
"""
