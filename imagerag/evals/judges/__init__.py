"""Evaluate a judge: questions about pictures of a library or of generated ones, and how many it answers right."""
