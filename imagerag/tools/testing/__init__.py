"""Fakes and a mock OpenAI server for tests, of this package and of others."""
