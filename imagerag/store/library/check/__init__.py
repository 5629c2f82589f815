"""Check of a library: how well each way to search it finds images, and what to do about it.

To add a way, write a class with `name` and `measure` in a module here, name it in `WAYS` of `library_check.py`, and its
words in `verdicts.py`.
"""
