"""Scores of a result: a bool is an assertion, a number a score, a string a label; a metric that fails is None, not 0.

To add a metric, write a `Metric` (`base.py`) in a module here and name it in `registry.py`
(`KINDS` and `MetricMaker.one`).
"""
