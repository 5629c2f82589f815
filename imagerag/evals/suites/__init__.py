"""Suites of cases: built in, from files, and from the user's own runs.

To add a suite, write a module that makes its cases and name it in `registry.py`.
"""
