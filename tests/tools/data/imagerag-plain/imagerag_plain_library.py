"""A library in 40 lines: `--library plain:blue` holds one picture of one colour, and fits what names that colour."""

import io

import numpy as np
from PIL import Image

from imagerag.agent.errors import BlobError
from imagerag.agent.ports import Hit
from imagerag.store.images.image_info import image_info


class PlainLibrary:
    threshold, context_length = 0.5, 77

    def __init__(self, spec, *, home):  # `home` is the folder for what a library keeps; this one keeps nothing
        spec.settings({})
        self.name, self.colour = str(spec), spec.model or "red"
        out = io.BytesIO()
        Image.new("RGB", (64, 64), self.colour).save(out, "PNG")
        self.data = out.getvalue()
        self.image = image_info(self.data).image

    def count_tokens(self, text):
        return len(text.split()) + 2

    async def search(self, text, *, k, filter):
        return self._hits(0.9 if self.colour in text.split() else 0.1, filter)

    async def search_by_image(self, image, *, k, filter):
        return self._hits(1.0 if image == self.data else 0.0, filter)

    async def image_bytes(self, sha256):
        if sha256 != self.image.sha256:
            raise BlobError(f"the image {sha256} is not in library {self.name!r}")
        return self.data

    async def encode_for_model(self, sha256):
        return await self.image_bytes(sha256), "image/png"

    def _hits(self, similarity, filter):
        if self.image.sha256 in filter.exclude or filter.condition:
            return []
        vector = np.eye(1, 8, dtype=np.float32)[0]
        return [Hit(image=self.image, similarity=similarity, vector=vector, title=self.colour, caption=self.colour)]
