"""Answerers: from metadata without a model, or from pictures with a vision-language model."""
