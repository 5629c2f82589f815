"""Whether a judge is right."""
