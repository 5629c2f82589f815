"""Metadata inside image files: EXIF, IPTC, XMP and texts of PNG, read from the file's bytes.

Nothing here decodes pixels or raises on any bytes; time and memory are bounded whatever the bytes claim.
"""

from imagerag.store.library.metadata.embedded.reader import read_embedded, read_xmp_sidecar

__all__ = ["read_embedded", "read_xmp_sidecar"]
