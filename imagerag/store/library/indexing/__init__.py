"""Indexing: finding files, comparing them with what is known, reading, encoding and writing them.

`ingest.py` has the entry point, `stages.py` its stages. What was stopped is finished by running it again.
"""
