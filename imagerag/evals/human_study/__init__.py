"""Blind studies with people: pages for raters, keys, and what the answers come to."""
