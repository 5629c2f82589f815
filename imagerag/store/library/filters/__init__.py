"""Filters as LanceDB expressions, what they can be asked about, and the values that there are."""
