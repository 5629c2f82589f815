"""The LanceDB reference library: schema, search, ingest, calibrated thresholds."""
