"""Speed of this machine: `python -m imagerag.evals.bench`."""
