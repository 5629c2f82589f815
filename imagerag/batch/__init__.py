"""Batches: a file of prompts becomes a folder of results, and nothing is made or paid for twice."""
