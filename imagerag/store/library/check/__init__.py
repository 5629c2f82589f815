"""Check of a library: how well each way to search it finds images, and what to do about it.

To add a way, write a class with `name` and `measure` (`MeasuredWay`) in a module here, add its name to `Way` in
`ways.py`, the class to `WAYS` in `library_check.py`, and its labels to `imagerag/formatting/check_labels.py`.
"""
