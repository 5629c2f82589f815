"""Image files that callers hand in, file access policy, export."""
