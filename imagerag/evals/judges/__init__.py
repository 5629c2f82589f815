"""Evaluate a judge: questions about images of a library or of generated ones, and how many it answers right."""
