"""Batches: a file of prompts becomes a directory of results, and nothing is made or paid for twice."""
