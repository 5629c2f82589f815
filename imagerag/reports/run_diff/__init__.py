"""Difference of two runs: where they part, which inputs differ, and what came of it."""
