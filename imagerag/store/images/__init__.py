"""Blob store, image information, masks."""
