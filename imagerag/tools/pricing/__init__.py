"""Price table, token usage, cost per call."""
