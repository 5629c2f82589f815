"""Maintenance of libraries and their images: statistics, export, removal, repair, snapshots.

A command that is killed leaves a library that can be used; running it again finishes it. The locks are in
`store/library/table.py`, the tests in `tests/crash_recovery/`.
"""
