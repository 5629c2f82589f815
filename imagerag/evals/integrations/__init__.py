"""Inspect, LangSmith, datasets, pytest."""
