"""Configuration of a process: settings, a file of variables, specs that data may name, and allowed origins.

To add a preset, write it in `settings.py` (`PRESETS`); where it fetches weights, in `trust_policy.py`
(`FETCHING_PRESETS`), too.
"""
