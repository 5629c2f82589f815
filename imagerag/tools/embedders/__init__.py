"""Embedders: text and images into one space of unit vectors.

To add an embedder, implement the `Embedder` port in a module here and name its factory in
`tools/built_in_providers.py`.
"""
