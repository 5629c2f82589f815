"""Estimators, intervals and significance tests."""
