"""Readers of the words in images."""
