"""Shared by all adapters of the OpenAI protocol: client, errors, refused options, retry delay."""
