"""The LanceDB reference library.

`library.py` is what the rest uses; `table.py` the table with its locks, `schema.py` its rows, `search.py` its search.
Below: `sources` finds files, `metadata` reads what is known of them, `indexing` makes rows of them, `thresholds`
measures from which cosine a hit counts, `filters` selects, `maintenance` changes, checks and copies what is there.
"""
