"""Run arms on the cases of a suite, store the results, summarise them.

To add an arm, write its row in `arms.py`; one with a procedure of its own also in `arm_procedures.py`.
"""
