"""Rerankers: a second look at what a search found, by the judge or by the words of the captions.

To add a reranker, implement the `Reranker` port in a module here and name its factory in `tools/built_in_providers.py`.
"""
