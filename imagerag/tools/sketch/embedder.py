"""The sketch CLIP as an encoder that knows in which words it is best asked."""

from imagerag.tools.embedders.openclip import OpenClipEmbedder


class SketchEmbedder(OpenClipEmbedder):
    """The small CLIP that comes with the package."""

    def queries(self, text: str) -> tuple[str, ...]:
        """The texts that a query is searched with instead; none where it stays as it is."""
        from imagerag.tools.sketch.query_rewriting import queries

        return queries(text)
