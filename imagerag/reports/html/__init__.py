"""A run as one self-contained page: no network, no script, readable on a phone and in the dark."""
