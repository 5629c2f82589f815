"""Wording shared by all front ends: one label per value, one format per kind of number.

To add a value's words, write its row in `labels.py`; to add a kind of number, its format in `numbers.py`. What an
outcome means for assistants is in `assistant_steps.py` and `assistants/tool_inputs.py`.
"""
