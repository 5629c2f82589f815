"""Speed of this machine: `python -m imagerag.evals.bench`.

To add a section, write a module with its rows and name it in `cli.py`.
"""
