"""Everything on disk: the reference library, images, journal, checkpoints, the index of runs."""
