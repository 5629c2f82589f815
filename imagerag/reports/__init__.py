"""A run as a page, a sheet, or a difference from another run."""
