"""Terminal output: text, tables, progress and images."""
