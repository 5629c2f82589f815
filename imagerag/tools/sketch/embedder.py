"""The sketch CLIP as an embedder that rewrites queries into captions."""

from imagerag.tools.embedders.openclip import OpenClipEmbedder


class SketchEmbedder(OpenClipEmbedder):
    """The small CLIP that is part of the package."""

    def queries(self, text: str) -> tuple[str, ...]:
        """Captions to search instead of a query; empty if the query stays as it is."""
        from imagerag.tools.sketch.query_rewriting import queries

        return queries(text)
