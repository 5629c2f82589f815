"""Image files that callers hand in, the policy of which may be read, and export of results."""
