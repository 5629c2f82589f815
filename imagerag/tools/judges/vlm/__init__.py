"""Judges on a vision-language model, over the OpenAI protocol or in this process."""
