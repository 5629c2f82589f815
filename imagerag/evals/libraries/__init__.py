"""Evaluation of a library's threshold and of ways to search it."""
