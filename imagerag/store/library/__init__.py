"""The LanceDB reference library: schema, search, ingest, calibrated thresholds.

To add a column of image metadata, write it in `schema.py` and read it from files in `image_metadata.py`.
"""
