"""Price table, token usage, cost per call.

To add a model that counts images in tokens, write its row in `prices.toml`.
"""
