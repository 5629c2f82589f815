"""What it keeps: the reference library, image blobs, checkpoints, the list of runs, ingest."""
