"""Answering a question from pictures and their metadata: the question read, the rows looked up, the answer's values."""
