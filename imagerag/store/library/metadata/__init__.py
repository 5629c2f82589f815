"""Metadata of an image: from its file, from files beside it, and from records of any program.

To read another EXIF, IPTC or XMP field: `embedded/`. To give it a name in records: `field_names.py`. To keep it as a
column of its own: `store/library/schema.py`, `agent/types/filters/keys.py`, `filters/filter_expressions.py` (its index)
and `maintenance/export.py`. A key that is only to be filtered needs none of that: every key of an image's metadata gets
a typed column by itself.
"""
