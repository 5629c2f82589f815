"""Answerers: from metadata without a model, or from images with a vision-language model.

To add an answerer, implement the `Answerer` port in a module here and name its factory in
`tools/built_in_providers.py`.
"""
